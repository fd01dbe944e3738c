"""
title: Reads and writes the environment
"""

import os

MARK = "first"

os.environ.setdefault("HABIT_AT_LOAD", MARK)


class Filter:
    def inlet(self, body):
        seen = [os.environ.get("SEARCH_URL"), os.getenv("HABIT_AT_LOAD"), os.environ.get("HABIT_COUNT", "0")]
        seen.append(os.getenv("SLUICEGATE_ADMIN_KEY", "no key"))
        os.environ["HABIT_COUNT"] = str(int(seen[2]) + 1)
        body["messages"][-1]["content"] += f" {' '.join(map(str, seen))}"
        return body

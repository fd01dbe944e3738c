"""
title: Counts in a database
"""

import sqlite3
import time


class Filter:
    def __init__(self):
        self.db = sqlite3.connect("./data/habit.db")
        self.db.execute("create table if not exists seen (text)")

    def inlet(self, body):
        # Slow enough to be moved to a thread, where the connection would refuse.
        time.sleep(0.004)
        with self.db:
            self.db.execute("insert into seen values (?)", (body["messages"][-1]["content"],))
        count = self.db.execute("select count(*) from seen").fetchone()[0]
        body["messages"][-1]["content"] += f" {count}"
        return body

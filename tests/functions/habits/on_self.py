"""
title: Keeps the user of a request on itself
"""

import time


class Filter:
    def __init__(self):
        self.user = None
        self.text = None

    def inlet(self, body, __user__):
        self.user = __user__["name"]
        self.text = body["messages"][-1]["content"]
        time.sleep(0.004)
        body["messages"][-1]["content"] = f"{self.text} of {self.user}"
        return body

"""Knows how many requests its instance has seen; a new version begins anew."""

GREETING = "hello"


class Filter:
    def __init__(self):
        self.seen = 0

    def inlet(self, body):
        self.seen += 1
        body["messages"][-1]["content"] += f" {GREETING} {self.seen}"
        return body

"""Adds its mark to the last message, so that the order of filters can be read there."""

from pydantic import BaseModel

MARK = "mark"
PRIORITY = 0


class Filter:
    class Valves(BaseModel):
        priority: int = PRIORITY
        mark: str = MARK

    def __init__(self):
        self.valves = self.Valves()

    def inlet(self, body):
        body["messages"][-1]["content"] += f" {self.valves.mark}"
        return body

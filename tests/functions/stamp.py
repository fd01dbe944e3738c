"""Stamps the request and everything that comes back with the version of code and valves that did it."""

import asyncio

from pydantic import BaseModel

CODE = 0


class Filter:
    class Valves(BaseModel):
        number: int = 0

    def __init__(self):
        self.valves = self.Valves()

    def stamp(self):
        return f"{CODE}:{self.valves.number}"

    async def inlet(self, body):
        before = self.stamp()
        # Others get their turn here, and may change the valves.
        await asyncio.sleep(0.001)
        body["stamp"] = f"{before} {self.stamp()}"
        return body

    def stream(self, event):
        event["stamp"] = f"{self.stamp()} {self.stamp()}"
        return event

    def outlet(self, body):
        body["messages"][-1]["content"] += f" outlet={self.stamp()} {self.stamp()}"
        return body

"""One of several filters: leaves its name on everything that passes, and does what the last message tells it to."""

import asyncio
import gc
import os
import sys
import threading
import time

from pydantic import BaseModel

NAME = "neighbour"
PRIORITY = 0
WAITS = False
DOOR = 0


class Refusal(Exception):
    status_code = 403

    def __init__(self, detail):
        self.detail = detail


def forge():
    """Says of every call that its last function has just begun and always will have, and never ends."""
    board = next(found for found in gc.get_objects() if type(found).__name__ == "Board")
    series = sys.modules["sluicegate_worker.series"]
    for call in range(series.PLACES):
        series.PLACE.pack_into(board._memory, call * series.PLACE.size, 2**64 - 1, call, 4)
    while True:
        pass


class Filter:
    class Valves(BaseModel):
        priority: int = PRIORITY
        mark: str = NAME

    def __init__(self):
        self.valves = self.Valves()

    if WAITS:

        async def inlet(self, body, __metadata__):
            await asyncio.sleep(0)
            if f"wait:{NAME}" in body["messages"][-1]["content"]:
                await asyncio.Event().wait()
            if f"knock:{NAME}" in body["messages"][-1]["content"]:
                reader, writer = await asyncio.open_connection("127.0.0.1", DOOR)
                writer.write(f"{NAME}\n".encode())
                await reader.read()
            return self.marked(body, __metadata__)

    else:

        def inlet(self, body, __metadata__):
            return self.marked(body, __metadata__)

    def marked(self, body, metadata):
        last = body["messages"][-1]
        if f"refuse:{NAME}" in last["content"]:
            raise Refusal(f"{NAME} refuses")
        if f"lose:{NAME}" in last["content"]:
            return None
        if f"hang:{NAME}" in last["content"]:
            while True:
                pass
        if f"die:{NAME}" in last["content"]:
            os._exit(1)
        if f"forge:{NAME}" in last["content"]:
            forge()
        if f"stick:{NAME}" in last["content"]:
            threading.Event().wait()
        if f"nap:{NAME}" in last["content"]:
            time.sleep(0.8)
        if f"bury:{NAME}" in last["content"]:
            for _ in range(127):
                body["buried"] = [body.get("buried")]
        last["content"] += f" {self.valves.mark}"
        if f"spoil:{NAME}" in last["content"]:
            last["content"] += " spoilt"
            raise ValueError("spoilt")
        # Everybody sees who was there before, and that body and metadata hold the same.
        names = metadata.setdefault("names", [])
        names.append(NAME)
        body["seen"] = list(body["metadata"]["names"])
        return body

    def stream(self, event):
        delta = event["choices"][0]["delta"]
        if (delta.get("content") or "").startswith(f"drop:{NAME}"):
            return None
        if (delta.get("content") or "").startswith(f"spoil:{NAME}"):
            raise ValueError("spoilt")
        if (delta.get("content") or "").startswith(f"die:{NAME}"):
            os._exit(1)
        if delta.get("content"):
            delta["content"] += NAME
        return event

    def outlet(self, body, __metadata__):
        last = body["messages"][-1]
        if f"show:{NAME}" in last["content"]:
            raise Refusal(f"{NAME} sees {last['content']}")
        if f"stumble:{NAME}" in last["content"]:
            raise ValueError("stumbled")
        last["content"] += f" {self.valves.mark}{len(__metadata__['names'])}"
        return body

"""Speaks on its process's socket itself, and keeps to no protocol."""

import asyncio
import itertools
import json
import os
import select
import struct

from sluicegate_worker.compat.facade import GATEWAY
from sluicegate_worker.scope import CURRENT

REPLY, ERROR, CHUNK, END, EMIT, LOG, PONG, CALLBACK, READY = 67, 68, 69, 70, 71, 72, 73, 74, 65
LOAD = 1
LONGEST = 64 * 1024 * 1024
RAW = 2


def socket_number():
    return GATEWAY.callbacks.inbox._link.core.fileno()


def write(data):
    """Writes all of it past whatever is queued, and reads nothing."""
    view = memoryview(data)
    while view:
        select.select([], [socket_number()], [])
        try:
            view = view[os.write(socket_number(), view) :]
        except BlockingIOError:
            continue


def frame(kind, id, payload=b"", flags=0):
    return struct.pack("<IIBBH", len(payload), id, kind, flags, 0) + payload


def own_call():
    return CURRENT.get().id


def own_request():
    return CURRENT.get().needed_request().id


def good(text):
    body = {"model": "echo", "messages": [{"role": "user", "content": text}]}
    return json.dumps({"body": body, "metadata": {}}).encode()


def questions():
    for id in itertools.count():
        yield frame(CALLBACK, id % 2**32, b"{}")


def endlessly(frames):
    while True:
        write(b"".join(itertools.islice(frames, 512)))


DEEDS = {
    "garbage": lambda: write(bytes(range(255, 127, -1)) * 8),
    "zeros": lambda: write(bytes(4096)),
    "short": lambda: write(frame(REPLY, own_call())[:5]),
    "huge": lambda: write(struct.pack("<IIBBH", 0xFFFFFFFF, own_call(), REPLY, 0, 0)),
    "unfinished": lambda: write(struct.pack("<IIBBH", LONGEST, own_call(), REPLY, 0, 0)),
    "unknown kind": lambda: write(frame(200, own_call())),
    "a kind of the gateway": lambda: write(frame(LOAD, own_call(), b"{}")),
    "never asked": lambda: write(frame(REPLY, own_call() + 1_000_000, good("forged"))),
    "another kind of answer": lambda: write(frame(READY, own_call(), b"{}")),
    "a pong for an answer": lambda: write(frame(PONG, own_call())),
    "an answer of nonsense": lambda: write(frame(REPLY, own_call(), b"\xff{nonsense")),
    "an error of nonsense": lambda: write(frame(ERROR, own_call(), b"[]")),
    "twice": lambda: write(frame(REPLY, own_call(), good("twice")) * 2),
    "chunks for a hook": lambda: write(frame(CHUNK, own_call(), b"x") * 1000),
    "an event of nonsense": lambda: write(frame(EMIT, own_request(), b'{"type":"x"}\n\ndata: [DONE]')),
    "an event of nobody": lambda: write(frame(EMIT, 4_000_000_000, b'{"type":"x"}')),
    "questions without listening": lambda: endlessly(questions()),
    "questions of nonsense": lambda: write(frame(CALLBACK, 7, b"\x00") + frame(CALLBACK, 7, b"{}") * 5),
    "a long print": lambda: write(frame(LOG, 0, b"\n" * (LONGEST - 1), 9)),
}


class Filter:
    def __init__(self):
        self.beside = None
        self.is_beside = asyncio.Event()

    async def inlet(self, body):
        deed = body["messages"][-1]["content"]
        if deed == "wait":
            self.beside = own_call()
            self.is_beside.set()
            await asyncio.sleep(3600)
        if deed in ("garbage beside another", "for another"):
            await self.is_beside.wait()
        if deed == "garbage beside another":
            DEEDS["garbage"]()
        elif deed == "for another":
            write(frame(REPLY, self.beside, good("forged")))
        elif deed in DEEDS:
            DEEDS[deed]()
        return body

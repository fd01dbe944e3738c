"""Generators that do not end when they should; the first thing each says is the process it runs in.

Those that do not let go tell when it is too late to end them.
"""

import asyncio
import os
import socket
import time

WITNESS = 0

WAYS = ["plain", "flood", "deaf", "deaf_async", "finally", "blocked", "nested", "empty", "async_empty"]


def tell(text):
    with socket.create_connection(("127.0.0.1", WITNESS)) as connection:
        connection.sendall(text.encode())


def process():
    """The process as it is known from outside: its number, and the namespace in which that is its number."""
    return f"{os.getpid()}@{os.readlink('/proc/self/ns/pid')}"


class Pipe:
    def pipes(self):
        return [{"id": way, "name": way} for way in WAYS]

    def pipe(self, body):
        if body["messages"][-1]["content"] == "nothing":
            return "fine"
        return getattr(self, body["model"].rsplit(".", 1)[-1])()

    def plain(self):
        try:
            while True:
                yield f"{process()} "
                time.sleep(0.003)
        finally:
            tell("plain ended")

    def flood(self):
        try:
            yield f"{process()} "
            while True:
                yield "x" * 10_000
                time.sleep(0.001)
        finally:
            tell("flood ended")

    def deaf(self):
        while True:
            try:
                yield f"{process()} "
                time.sleep(0.003)
            except GeneratorExit:
                tell("deaf was told")

    async def deaf_async(self):
        yield f"{process()} "
        tell("deaf_async is deaf")
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    def finally_(self):
        try:
            yield f"{process()} "
            tell("finally is deaf")
            while True:
                yield "x"
                time.sleep(0.003)
        finally:
            time.sleep(3600)

    def blocked(self):
        yield f"{process()} "
        tell("blocked is deaf")
        time.sleep(3600)
        yield "never"

    def nested(self):
        async def wait_for_ever():
            await asyncio.sleep(3600)

        yield f"{process()} "
        tell("nested is deaf")
        loop = asyncio.new_event_loop()
        loop.run_until_complete(wait_for_ever())

    def empty(self):
        yield from ()

    async def async_empty(self):
        for item in ():
            yield item


setattr(Pipe, "finally", Pipe.finally_)

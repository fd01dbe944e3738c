"""
title: Cleans up when it is stopped
"""

import asyncio
import socket

WITNESS = 0


def tell(text):
    with socket.create_connection(("127.0.0.1", WITNESS)) as connection:
        connection.sendall(text.encode())


class Pipe:
    def __init__(self):
        self.calls = 0

    def pipes(self):
        return [{"id": name, "name": name} for name in ("swallowing", "passing", "plain", "later", "count")]

    async def pipe(self, body):
        self.calls += 1
        return await getattr(self, body["model"].rsplit(".", 1)[-1])()

    async def count(self):
        return str(self.calls)

    async def swallowing(self):
        try:
            tell("began")
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            tell("swallowed")
            return "stopped"

    async def passing(self):
        try:
            tell("began")
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            tell("passed on")
            raise

    async def plain(self):
        return self.items()

    async def later(self):
        return self.items_later()

    def items(self):
        try:
            while True:
                yield "tick "
        except GeneratorExit:
            tell("generator exit")
            raise

    async def items_later(self):
        try:
            yield "tick "
            await asyncio.sleep(3600)
        except (GeneratorExit, asyncio.CancelledError):
            tell("generator stopped")
            raise

"""Pipes that go on for ever, and tell the test when they are stopped."""

import asyncio
import socket
import time

WITNESS = 0


def tell(text):
    with socket.create_connection(("127.0.0.1", WITNESS)) as connection:
        connection.sendall(text.encode())


class Pipe:
    def pipes(self):
        return [{"id": "plain", "name": "Plain"}, {"id": "async", "name": "Async"}]

    def pipe(self, body):
        return self.items() if body["model"].endswith("plain") else self.items_later()

    def items(self):
        try:
            while True:
                yield "tick "
                time.sleep(0.005)
        finally:
            tell("generator ended")

    async def items_later(self):
        try:
            yield "tick "
            await asyncio.sleep(3600)
        finally:
            tell("generator ended")

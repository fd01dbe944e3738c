"""Waits while its client leaves, and tells the test what it notices."""

import asyncio
import socket

WITNESS = 0


def tell(text):
    with socket.create_connection(("127.0.0.1", WITNESS)) as connection:
        connection.sendall(text.encode())


class Filter:
    async def inlet(self, body):
        if "wait" in body["messages"][-1]["content"]:
            tell("inlet began")
            try:
                await asyncio.sleep(3600)
            finally:
                tell("inlet ended")
        return body

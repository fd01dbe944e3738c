"""Waits at a door if it is told to, and says which instance answered."""

import socket
import uuid


class Pipe:
    def __init__(self):
        self.name = uuid.uuid4().hex

    async def pipe(self, body):
        port = body["messages"][-1]["content"]
        if not port.isdigit():
            return self.name
        return await self.wait(int(port))

    async def wait(self, port):
        import asyncio

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"lingering\n")
        await reader.read()
        writer.close()
        return self.name

"""
title: Keeps the user of a request on itself while it waits
"""

import asyncio
from contextvars import ContextVar

DOOR = 0

user = ContextVar("user")


class Filter:
    def __init__(self):
        self.user = None

    async def inlet(self, body, __user__):
        self.user = __user__["name"]
        user.set(__user__["name"])
        if "wait" in body["messages"][-1]["content"]:
            reader, writer = await asyncio.open_connection("127.0.0.1", DOOR)
            writer.write(b"inlet\n")
            await reader.read()
            writer.close()
        body["messages"][-1]["content"] += f": {self.user}, {user.get()}"
        return body

"""
title: Keeps the user of a request in a context variable
"""

import asyncio
from contextvars import ContextVar

user = ContextVar("user", default="nobody")


class Filter:
    async def inlet(self, body, __user__):
        user.set(__user__["name"])
        await asyncio.sleep(0)
        return body

    def stream(self, event):
        for choice in event.get("choices", []):
            if choice["delta"].get("content"):
                choice["delta"]["content"] += f"<{user.get()}>"
        return event

    async def outlet(self, body):
        await asyncio.sleep(0)
        body["messages"][-1]["content"] += f" [{user.get()}]"
        print("outlet of", user.get())
        return body

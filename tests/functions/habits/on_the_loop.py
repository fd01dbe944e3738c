"""
title: Synchronous, but needs the running loop
"""

import asyncio
import time


class Filter:
    def __init__(self):
        self.done = []

    async def note(self, text):
        self.done.append(text)

    def inlet(self, body):
        # Slow enough to be moved to a thread, which has no loop.
        time.sleep(0.004)
        text = body["messages"][-1]["content"]
        loop = asyncio.get_running_loop()
        loop.create_task(self.note(text))
        asyncio.ensure_future(self.note(text.upper()))
        body["messages"][-1]["content"] = f"{text} {self.done}"
        return body

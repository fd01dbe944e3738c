"""Loops in a thread, where neither a cancelled task nor an exception reaches it."""

import time


class Filter:
    def inlet(self, body):
        deed = body["messages"][-1]["content"]
        # Slow enough to be given a thread of its own for the next call.
        time.sleep(0.02)
        while deed == "loop":
            pass
        return body

    async def stream(self, event):
        for choice in event["choices"]:
            if "content" in choice["delta"]:
                choice["delta"]["content"] += "!"
        return event

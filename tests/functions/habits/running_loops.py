"""
title: Synchronous, with loops of its own
"""

import asyncio


class Filter:
    async def fetch(self, text):
        await asyncio.sleep(0)
        return text.upper()

    def inlet(self, body):
        text = body["messages"][-1]["content"]
        found = [asyncio.run(self.fetch(text))]
        loop = asyncio.new_event_loop()
        try:
            found.append(loop.run_until_complete(self.fetch(text)))
        finally:
            loop.close()
        body["messages"][-1]["content"] = " ".join(found)
        return body

    def outlet(self, body):
        loop = asyncio.get_event_loop()
        text = body["messages"][-1]["content"]
        body["messages"][-1]["content"] = loop.run_until_complete(self.fetch(text))
        return body

"""Tells of its work while it answers: with items, or with events alone."""

import asyncio

WITNESS = 0


class Pipe:
    async def pipe(self, body, __event_emitter__):
        await __event_emitter__({"type": "status", "data": {"description": "thinking"}})
        text = body["messages"][-1]["content"]
        if text == "wait":
            # Nobody answers at this address before the client has heard of the status.
            reader, writer = await asyncio.open_connection("127.0.0.1", WITNESS)
            await reader.read()
            writer.close()
        await __event_emitter__({"type": "citation", "data": {"source": {"name": "a book"}}})
        yield f"said {text}"
        await __event_emitter__({"type": "status", "data": {"description": "done", "done": True}})

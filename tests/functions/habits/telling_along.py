"""
title: Tells of every step of a filter
"""


class Filter:
    async def inlet(self, body, __event_emitter__):
        await __event_emitter__({"type": "status", "data": {"description": "inlet", "done": False}})
        return body

    async def stream(self, event, __event_emitter__):
        if event["choices"][0]["finish_reason"]:
            await __event_emitter__({"type": "status", "data": {"description": "stream", "done": False}})
        return event

    async def outlet(self, body, __event_emitter__, __event_call__):
        await __event_emitter__({"type": "replace", "data": {"content": "for a browser"}})
        await __event_call__({"type": "execute", "data": {"code": "1"}})
        await __event_emitter__({"type": "status", "data": {"description": "outlet", "done": True}})
        return body

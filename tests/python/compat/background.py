"""
title: Background
"""

import asyncio

from open_webui.socket.main import get_event_emitter


class Filter:
    async def outlet(self, body, __metadata__):
        asyncio.create_task(self.later(get_event_emitter(__metadata__)))
        return body

    async def later(self, emit):
        await emit({"type": "status", "data": {"description": "later"}})

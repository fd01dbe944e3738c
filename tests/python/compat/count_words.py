"""
title: Count words
"""

from open_webui.utils.misc import get_messages_content


class Filter:
    async def inlet(self, body, __metadata__, __event_emitter__):
        count = len(get_messages_content(body["messages"]).split())
        __metadata__["words"] = count
        await __event_emitter__({"type": "status", "data": {"description": f"{count} words", "done": True}})
        return body

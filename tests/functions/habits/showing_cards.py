"""
title: Shows cards
"""

import json

from fastapi.responses import HTMLResponse


class Tools:
    def __init__(self):
        self.citation = False

    async def weather_card(self, place: str, __event_emitter__=None, __user__: dict = {}):
        """
        Show the weather of a place.
        :param place: the name of the place
        """
        await __event_emitter__({"type": "status", "data": {"description": f"Looking at {place}", "done": True}})
        page = f"<b>{place}</b><script>parent.postMessage({json.dumps(__user__['name'])})</script>"
        return HTMLResponse(content=page, headers={"Content-Disposition": "inline"})

    async def told_card(self, place: str):
        """Show a place and tell of it."""
        page = HTMLResponse(content=f"<i>{place}</i>", headers={"content-disposition": "inline"})
        return page, {"place": place, "degrees": 21}

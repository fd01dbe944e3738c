"""
title: Buttons
icon_url: data:image/svg+xml,icon
"""

from fastapi import HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel


class Action:
    class UserValves(BaseModel):
        tone: str = "plain"

    actions = [
        {"id": "up", "name": "Up"},
        {"id": "page", "icon_url": "p"},
        {"id": "conflict"},
        {"id": "breaks"},
    ]

    async def action(self, body, __id__, __user__, __model__, __event_emitter__):
        if __id__ == "conflict":
            raise HTTPException(409, "conflict")
        if __id__ == "breaks":
            raise ValueError("out of order")
        if __id__ == "page":
            return HTMLResponse("<b>card</b>", headers={"Content-Disposition": "inline"})
        await __event_emitter__({"type": "status", "data": {"description": "up"}})
        return {
            "content": body["messages"][-1]["content"].upper(),
            "entry": __id__,
            "tone": __user__["valves"].tone,
            "model": __model__["id"],
        }

"""title: Stamp
Version: 1.0
"""

import os
from typing import List, Optional

from pydantic import BaseModel
from schemas import OpenAIChatMessage
from utils.pipelines.main import get_last_user_message


class Pipeline:
    """A filter in the style of the Pipelines server's examples."""

    class Valves(BaseModel):
        pipelines: List[str] = []
        priority: int = 0
        token: str
        mark: str = "stamped"

    def __init__(self):
        self.type = "filter"
        self.name = "Stamp"
        self.valves = self.Valves(**{"pipelines": ["*"], "token": os.getenv("STAMP_TOKEN", "none")})
        self.started = "no"

    async def on_startup(self):
        self.started = self.valves.mark

    async def inlet(self, body: dict, user: Optional[dict] = None) -> dict:
        if "forbidden" in (get_last_user_message(body["messages"]) or ""):
            raise Exception("That word is not allowed.")
        message = OpenAIChatMessage(**body["messages"][-1])
        body["messages"][-1]["content"] = f"{message.content} [{self.valves.mark} for {user['name']}]"
        return body

    async def outlet(self, body: dict, user: Optional[dict] = None) -> dict:
        body["messages"][-1]["content"] += f" (started with {self.started})"
        return body

"""
title: Toolbox
"""

import os

from pydantic import BaseModel


class Tools:
    class Valves(BaseModel):
        unit: str = "C"

    class UserValves(BaseModel):
        lang: str = "en"

    def __init__(self):
        self.valves = self.Valves()

    def add(self, a: int, b: int = 2, __user__: dict = None) -> str:
        """
        Add two numbers.
        :param a: first summand
        :param b: second summand
        """
        return f"sum={a + b} {self.valves.unit} {__user__['role']} {__user__['valves'].lang}"

    async def said(self, __messages__, __metadata__, __id__) -> dict:
        """What was said last."""
        return {"last": __messages__[-1]["content"], "chat": __metadata__["chat_id"], "id": __id__}

    def fails(self):
        """Never works."""
        raise ValueError("tool broke")

    def crashes(self):
        """Ends its process."""
        os._exit(1)

"""
title: Turn limit
author: Sluicegate
version: 1.0.0
license: MIT
description: Refuses a conversation that has more turns than allowed.

Counts the messages of the user in the request, which is how many turns the conversation has had,
and refuses with status 403 and a plain sentence when they are more than the limit.

Valves
- max_turns: how many turns everyone has (10); 0 switches the limit off
- max_bonus: how many more a user may give himself (10)
- exempt_admins: admins have no limit (on)
- priority: place in the chain (0)

User valves
- bonus_turns: turns on top of the limit (0), counted up to `max_bonus`

Example
- with max_turns 4 and bonus_turns 1 the sixth question gets
  "This conversation has reached its limit of 5 turns. Start a new one to go on."

Limits
- It counts what the client sends; a client that shortens its history has more turns.
- Open WebUI itself answers 400 with the text `403: ...`; Sluicegate keeps the status.
"""

from typing import Any

from pydantic import BaseModel, Field

try:
    from fastapi import HTTPException
except ImportError:

    class HTTPException(Exception):  # type: ignore[no-redef]
        """Stands in where fastapi is not installed; hosts look at these two attributes."""

        def __init__(self, status_code: int, detail: str) -> None:
            super().__init__(f"{status_code}: {detail}")
            self.status_code = status_code
            self.detail = detail


class Filter:
    """Limits the turns of a conversation."""

    class Valves(BaseModel):
        """What the operator sets."""

        priority: int = Field(default=0, description="Place in the chain, lowest first.")
        max_turns: int = Field(default=10, ge=0, description="Turns for everyone, 0 for no limit.")
        max_bonus: int = Field(default=10, ge=0, description="Most turns a user may add.")
        exempt_admins: bool = Field(default=True, description="Admins have no limit.")

    class UserValves(BaseModel):
        """What each user sets."""

        bonus_turns: int = Field(default=0, ge=0, description="Turns on top of the limit.")

    def __init__(self) -> None:
        self.valves = self.Valves()

    def inlet(self, body: dict[str, Any], __user__: dict[str, Any] | None = None) -> dict[str, Any]:
        """Refuses a request over the limit."""
        user = __user__ or {}
        limit = self._limit(user)
        if limit is not None and _turns(body) > limit:
            raise HTTPException(403, _refusal(limit))
        return body

    def _limit(self, user: dict[str, Any]) -> int | None:
        """How many turns this user has, None for any number."""
        exempt = self.valves.exempt_admins and user.get("role") == "admin"
        if exempt or self.valves.max_turns == 0:
            return None
        bonus = getattr(user.get("valves"), "bonus_turns", 0)
        return self.valves.max_turns + min(bonus, self.valves.max_bonus)


def _turns(body: dict[str, Any]) -> int:
    return sum(message.get("role") == "user" for message in body.get("messages", []))


def _refusal(limit: int) -> str:
    turns = "1 turn" if limit == 1 else f"{limit} turns"
    return f"This conversation has reached its limit of {turns}. Start a new one to go on."

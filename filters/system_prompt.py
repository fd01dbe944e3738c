"""
title: System prompt
author: Sluicegate
version: 1.0.0
license: MIT
description: Gives every conversation a system prompt, with variables and each user's own text.

Puts the operator's prompt, followed by the user's own text, into the system message of a request.
A request without a system message gets one at its head; `developer` messages count as system
messages.

Valves
- prompt: the text; empty for none ("The user's name is {{USER_NAME}}. Today is {{CURRENT_DATE}}.")
- mode: `prepend` (before what the system message says), `append` (after it) or `replace` (instead
  of all system messages); prepend is the default
- timezone: for dates and times, by its IANA name (`UTC`)
- user_text_limit: how many characters of a user's own text are used (2000); 0 for none of it
- priority: place in the chain (0)

User valves
- text: what every conversation of this user should say on top (empty)

Variables
- USER_NAME, USER_EMAIL, USER_ID, USER_ROLE, MODEL, CURRENT_DATE (2026-01-31), CURRENT_TIME (18:05),
  CURRENT_DATETIME (2026-01-31 18:05), CURRENT_WEEKDAY (Saturday), CURRENT_TIMEZONE; each in double
  braces. An unknown one stays as it is; what is put in is not looked through again.

Example
- prompt `Answer {{USER_NAME}} briefly.` and a user text `I am a nurse.` give the system message
  "Answer Ann briefly." and, after an empty line, "I am a nurse."

Limits
- A user's own text can contradict the prompt; rules that must hold belong into a filter.
- In a system message made of parts the text becomes a part of its own.
"""

import re
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, field_validator

VARIABLE = re.compile(r"\{\{\s*([A-Z_]+)\s*\}\}")
SYSTEM_ROLES = ("system", "developer")


class Filter:
    """Puts a system prompt into every request."""

    class Valves(BaseModel):
        """What the operator sets."""

        priority: int = Field(default=0, description="Place in the chain, lowest first.")
        prompt: str = Field(
            default="The user's name is {{USER_NAME}}. Today is {{CURRENT_DATE}}.",
            description="The text, with variables in double braces; empty for none.",
        )
        mode: Literal["prepend", "append", "replace"] = Field(
            default="prepend", description="Before, after or instead of the system message."
        )
        timezone: str = Field(default="UTC", description="IANA name, for dates and times.")
        user_text_limit: int = Field(
            default=2000, ge=0, description="Characters used of a user's own text, 0 for none."
        )

        @field_validator("timezone")
        @classmethod
        def _known_timezone(cls, name: str) -> str:
            _zone(name)
            return name

    class UserValves(BaseModel):
        """What each user sets."""

        text: str = Field(default="", description="Added to the prompt of your conversations.")

    def __init__(self) -> None:
        self.valves = self.Valves()

    def inlet(self, body: dict[str, Any], __user__: dict[str, Any] | None = None) -> dict[str, Any]:
        """Puts the prompt into the request."""
        user = __user__ or {}
        variables = _variables(body, user, datetime.now(_zone(self.valves.timezone)))
        prompt = _expand(self._template(user), variables)
        if prompt:
            body["messages"] = _with_prompt(body.get("messages", []), prompt, self.valves.mode)
        return body

    def _template(self, user: dict[str, Any]) -> str:
        own = getattr(user.get("valves"), "text", "")[: self.valves.user_text_limit]
        return "\n\n".join(part for part in (self.valves.prompt.strip(), own.strip()) if part)


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # there without a time zone database, too
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone: {name}") from error


def _variables(body: dict[str, Any], user: dict[str, Any], now: datetime) -> dict[str, str]:
    return {
        "USER_NAME": str(user.get("name") or ""),
        "USER_EMAIL": str(user.get("email") or ""),
        "USER_ID": str(user.get("id") or ""),
        "USER_ROLE": str(user.get("role") or ""),
        "MODEL": str(body.get("model") or ""),
        "CURRENT_DATE": now.strftime("%Y-%m-%d"),
        "CURRENT_TIME": now.strftime("%H:%M"),
        "CURRENT_DATETIME": now.strftime("%Y-%m-%d %H:%M"),
        "CURRENT_WEEKDAY": now.strftime("%A"),
        "CURRENT_TIMEZONE": str(now.tzinfo),
    }


def _expand(template: str, variables: dict[str, str]) -> str:
    return VARIABLE.sub(lambda found: variables.get(found[1], found[0]), template)


def _is_system(message: dict[str, Any]) -> bool:
    return message.get("role") in SYSTEM_ROLES


def _with_prompt(messages: list[dict[str, Any]], prompt: str, mode: str) -> list[dict[str, Any]]:
    """The messages with the prompt in their first system message."""
    if mode == "replace":
        messages = [message for message in messages if not _is_system(message)]
    place = next((at for at, message in enumerate(messages) if _is_system(message)), None)
    if place is None:
        return [{"role": "system", "content": prompt}, *messages]
    old = messages[place]
    content = _joined(old.get("content"), prompt, mode)
    return [*messages[:place], {**old, "content": content}, *messages[place + 1 :]]


def _joined(content: Any, prompt: str, mode: str) -> Any:
    if isinstance(content, list):
        part = {"type": "text", "text": prompt}
        return [part, *content] if mode == "prepend" else [*content, part]
    texts = (prompt, content) if mode == "prepend" else (content, prompt)
    return "\n\n".join(text for text in texts if text)

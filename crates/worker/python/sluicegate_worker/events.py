"""What functions emit: passed on to the gateway, and folded into text for pipes that answer only so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import sluicegate_core as core

from sluicegate_worker.link import Link

Emitter = Callable[[Any], Awaitable[None]]
EventCall = Callable[[Any], Awaitable[Any]]


class EventLog:
    """The text that one request's events add up to, in the order of their emission."""

    def __init__(self) -> None:
        self.text = ""

    def note(self, event: Any) -> None:
        """Takes an event into account if it carries text of the answer."""
        if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
            return
        kind, data = event.get("type"), event["data"]
        if kind in ("message", "chat:message:delta"):
            self.text += content(data)
        elif kind in ("replace", "chat:message"):
            self.text = content(data)
        elif kind == "chat:completion":
            self._note_completion(data)

    def _note_completion(self, data: dict[str, Any]) -> None:
        if isinstance(data.get("content"), str):
            self.text = data["content"]
        choices = data.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return
        if isinstance(choices[0].get("delta"), dict):
            self.text += content(choices[0]["delta"])
        elif isinstance(choices[0].get("message"), dict):
            self.text = content(choices[0]["message"])


def content(data: dict[str, Any]) -> str:
    """The text of an event, empty if it has none."""
    text = data.get("content")
    return text if isinstance(text, str) else ""


def emitter(link: Link, request_id: int, log: EventLog) -> Emitter:
    """`__event_emitter__` of a request. It takes anything, and neither fails nor waits."""

    async def __event_emitter__(event: Any) -> None:
        log.note(event)
        try:
            link.send(core.EMIT, request_id, event)
        except Exception as error:
            # Its text names a type or a place, never a value, so it may be logged.
            print(f"event not emitted: {error}")

    return __event_emitter__


def event_call() -> EventCall:
    """`__event_call__`: nobody is there to answer, which the real product says in these words."""

    async def __event_call__(event: Any) -> Any:
        return {"error": "Client session disconnected."}

    return __event_call__

"""Asking the gateway for another completion."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.inert import note_use
from sluicegate_worker.scope import CURRENT


async def generate_chat_completion(
    request: Any, form_data: dict[str, Any], user: Any = None, bypass_filter: bool = False, **_: Any
) -> Any:
    """Sends a chat through the gateway as the same caller, whoever `user` is.

    Gives the answer as a dictionary, or for a stream a response whose `body_iterator` gives its lines.
    """
    context = getattr(request, "sluicegate_context", None)
    if context is None:
        scope = CURRENT.get()
        context = None if scope is None else scope.request
    if context is None:
        raise RuntimeError("generate_chat_completion needs the `__request__` of a call")
    body = {name: value for name, value in form_data.items() if name != "metadata"}
    arguments = {"body": body, "bypass_filter": bool(bypass_filter)}
    result = await context.callbacks.ask(context.id, "generate_chat_completion", arguments)
    if isinstance(result, dict) and isinstance(result.get("events"), list):
        return _streaming_response(result["events"])
    return result


#: The name before version 0.5.
generate_chat_completions = generate_chat_completion


async def chat_completed(request: Any, form_data: dict[str, Any], user: Any = None, **_: Any) -> dict[str, Any]:
    """The chat as it is: the gateway runs the outlet filters itself, on every answer."""
    note_use(f"{__name__}.chat_completed")
    return form_data


def __getattr__(name: str) -> Any:
    return missing(__name__, name)


async def _lines(events: list[Any]) -> AsyncIterator[bytes]:
    for event in events:
        yield f"data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
    yield b"data: [DONE]\n\n"


class EventStream:
    """A streamed answer, where Starlette's own class for it is not installed."""

    media_type = "text/event-stream"
    status_code = 200

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        self.body_iterator = lines
        self.headers = {"content-type": self.media_type}
        self.background = None


def _streaming_response(events: list[Any]) -> Any:
    try:
        from starlette.responses import StreamingResponse
    except ImportError:
        return EventStream(_lines(events))
    return StreamingResponse(_lines(events), media_type="text/event-stream")

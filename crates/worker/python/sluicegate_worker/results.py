"""What actions and tools return, as the gateway can pass it on."""

from __future__ import annotations

import json
from typing import Any


def settled(result: Any, name: str) -> tuple[Any, list[str]]:
    """A result as a value, and the pages in it that are to be shown to the user.

    A page is a response with the header `content-disposition: inline`; with a tuple its second part is what the
    model is told. Other responses stand for their bodies.
    """
    context = None
    if isinstance(result, tuple) and len(result) == 2 and is_response(result[0]):
        result, context = result
    if not is_response(result):
        return result, []
    body = body_of(result)
    if not is_page(result):
        return parsed(body), []
    shown = {"status": "success", "code": "ui_component", "message": f"`{name}` shows its result to the user."}
    return (shown if context is None else context), [body]


def is_response(result: Any) -> bool:
    """Whether a result is an HTTP response of its own, of whatever library."""
    if not isinstance(getattr(result, "status_code", None), int) or not hasattr(result, "media_type"):
        return False
    return hasattr(result, "body_iterator") or isinstance(getattr(result, "body", None), bytes)


def is_page(response: Any) -> bool:
    """Whether a response is a page for the user's eyes."""
    headers = getattr(response, "headers", None) or {}
    is_html = "html" in str(headers.get("content-type") or response.media_type or "")
    return is_html and "inline" in str(headers.get("content-disposition") or "")


def body_of(response: Any) -> str:
    """A response's body as text; one that is made while it is read has none."""
    body = getattr(response, "body", b"")
    return bytes(body).decode("utf-8", "replace") if isinstance(body, (bytes, bytearray, memoryview)) else str(body)


def parsed(body: str) -> Any:
    """A body as a value if it is JSON, else as it is."""
    try:
        return json.loads(body)
    except ValueError:
        return body


def plain(value: Any) -> Any:
    """A value with everything that is no JSON replaced by its text."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=str)


def embeds(pages: list[str]) -> dict[str, Any]:
    """The event that shows pages."""
    return {"type": "embeds", "data": {"embeds": pages}}

"""What the real product does with a chat before and after a model; here the gateway does."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.finder import missing


async def process_chat_payload(
    request: Any, form_data: Any, user: Any = None, metadata: Any = None, model: Any = None, **_: Any
) -> tuple[Any, Any, list[Any]]:
    """The body and the metadata as they are, and no events."""
    return form_data, metadata, []


async def process_chat_response(request: Any, response: Any, *_: Any, **__: Any) -> Any:
    """The response as it is."""
    return response


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

"""What the real product does with a chat before and after a model; here the gateway does."""

from __future__ import annotations

import json
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


def process_tool_result(
    request: Any, tool_function_name: str, tool_result: Any, *_: Any, **__: Any
) -> tuple[Any, list[Any], list[Any]]:
    """A tool's result as text, and no files or embeds."""
    if hasattr(tool_result, "body") and isinstance(tool_result.body, bytes):
        tool_result = tool_result.body.decode("utf-8", "replace")
    if tool_result is not None and not isinstance(tool_result, str):
        tool_result = json.dumps(tool_result, ensure_ascii=False, default=str)
    return tool_result, [], []


def get_citation_source_from_tool_result(*_: Any, **__: Any) -> list[Any]:
    """No sources."""
    return []


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

"""Helpers for messages, as files written for the Pipelines server import them."""

from __future__ import annotations

from typing import Any

from open_webui.utils.misc import (
    add_or_update_system_message,
    get_last_assistant_message,
    get_last_user_message,
    get_system_message,
    openai_chat_chunk_message_template,
    pop_system_message,
)
from sluicegate_worker.compat.finder import missing

__all__ = [
    "add_or_update_system_message",
    "get_last_assistant_message",
    "get_last_user_message",
    "get_system_message",
    "pop_system_message",
    "stream_message_template",
]


def stream_message_template(model: str, message: str) -> dict[str, Any]:
    """One chunk of a streamed answer."""
    return openai_chat_chunk_message_template(model, message)


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

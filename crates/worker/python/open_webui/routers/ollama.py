"""Model servers, which functions reach through the gateway."""

from __future__ import annotations

from typing import Any

from open_webui.utils.chat import generate_chat_completion
from sluicegate_worker.compat.finder import missing

__all__ = ["generate_chat_completion"]


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

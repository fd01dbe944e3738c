"""Where functions import the application and, if they are old, the completion call from."""

from __future__ import annotations

from typing import Any

from open_webui.utils.chat import chat_completed, generate_chat_completion, generate_chat_completions
from open_webui.utils.models import get_all_models
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.http_request import CurrentApp

__all__ = [
    "app",
    "chat_completed",
    "generate_chat_completion",
    "generate_chat_completions",
    "get_all_models",
    "webui_app",
]

#: The application of the request that is being handled.
app = CurrentApp()
webui_app = app


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

"""Where old functions import the completion call from."""

from open_webui.utils.chat import generate_chat_completion, generate_chat_completions

__all__ = ["generate_chat_completion", "generate_chat_completions"]

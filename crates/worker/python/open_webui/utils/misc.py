"""Helpers for messages and for answers in OpenAI's form, and some for texts."""

from __future__ import annotations

import time
import uuid
from typing import Any

from open_webui.utils._helpers import (
    calculate_sha256,
    calculate_sha256_string,
    cleanup_response,
    convert_logit_bias_input_to_json,
    convert_output_to_messages,
    deep_update,
    extract_folders_after_data_docs,
    extract_urls,
    freeze,
    get_allow_block_lists,
    get_gravatar_url,
    is_string_allowed,
    parse_duration,
    parse_ollama_modelfile,
    sanitize_data_for_db,
    sanitize_filename,
    sanitize_metadata,
    sanitize_text_for_db,
    stream_chunks_handler,
    stream_wrapper,
    strict_match_mime_type,
    throttle,
    validate_email_format,
)

__all__ = [
    "add_or_update_system_message",
    "add_or_update_user_message",
    "append_or_update_assistant_message",
    "calculate_sha256",
    "calculate_sha256_string",
    "cleanup_response",
    "convert_logit_bias_input_to_json",
    "convert_output_to_messages",
    "deep_update",
    "extract_folders_after_data_docs",
    "extract_urls",
    "freeze",
    "get_allow_block_lists",
    "get_content_from_message",
    "get_gravatar_url",
    "get_last_assistant_message",
    "get_last_assistant_message_item",
    "get_last_user_message",
    "get_last_user_message_item",
    "get_message_list",
    "get_messages_content",
    "get_system_message",
    "is_string_allowed",
    "openai_chat_chunk_message_template",
    "openai_chat_completion_message_template",
    "openai_chat_message_template",
    "parse_duration",
    "parse_ollama_modelfile",
    "pop_system_message",
    "prepend_to_first_user_message_content",
    "remove_system_message",
    "replace_system_message_content",
    "sanitize_data_for_db",
    "sanitize_filename",
    "sanitize_metadata",
    "sanitize_text_for_db",
    "set_last_user_message_content",
    "stream_chunks_handler",
    "stream_wrapper",
    "strict_match_mime_type",
    "throttle",
    "update_message_content",
    "validate_email_format",
]

Message = dict[str, Any]


def get_content_from_message(message: Message) -> str | None:
    """A message's text: of a list of parts, the first that is text."""
    content = message.get("content")
    if not isinstance(content, list):
        return content
    for part in content:
        if part.get("type") == "text":
            text: str | None = part.get("text")
            return text
    return None


def get_last_user_message_item(messages: list[Message]) -> Message | None:
    """The user's last message."""
    return _last(messages, "user")


def get_last_user_message(messages: list[Message]) -> str | None:
    """The text of the user's last message."""
    message = get_last_user_message_item(messages)
    return None if message is None else get_content_from_message(message)


def set_last_user_message_content(content: str, messages: list[Message]) -> list[Message]:
    """Replaces the text of the user's last message; changes it in place."""
    message = get_last_user_message_item(messages)
    if message is None:
        return messages
    if isinstance(message.get("content"), list):
        for part in message["content"]:
            if part.get("type") == "text":
                part["text"] = content
                break
    else:
        message["content"] = content
    return messages


def get_message_list(messages_map: dict[str, Message] | None, message_id: str | None) -> list[Message]:
    """The messages of a chat's history from the first to this one, by their `parentId`."""
    listed: list[Message] = []
    seen: set[str] = set()
    while messages_map and message_id in messages_map and message_id not in seen:
        seen.add(message_id)
        message = messages_map[message_id]
        listed.insert(0, message)
        message_id = message.get("parentId")
    return listed


def get_last_assistant_message_item(messages: list[Message]) -> Message | None:
    """The assistant's last message."""
    return _last(messages, "assistant")


def get_last_assistant_message(messages: list[Message]) -> str | None:
    """The text of the assistant's last message."""
    message = get_last_assistant_message_item(messages)
    return None if message is None else get_content_from_message(message)


def get_system_message(messages: list[Message]) -> Message | None:
    """The first system message."""
    return next((message for message in messages if message.get("role") == "system"), None)


def remove_system_message(messages: list[Message]) -> list[Message]:
    """The messages without those of the system, as a new list."""
    return [message for message in messages if message.get("role") != "system"]


def pop_system_message(messages: list[Message]) -> tuple[Message | None, list[Message]]:
    """The first system message, and the messages without any."""
    return get_system_message(messages), remove_system_message(messages)


def get_messages_content(messages: list[Message]) -> str:
    """The conversation as text, one `ROLE: content` line for each message."""
    return "\n".join(f"{message['role'].upper()}: {get_content_from_message(message)}" for message in messages)


def prepend_to_first_user_message_content(content: str, messages: list[Message]) -> list[Message]:
    """Puts a line of text before the user's first message; changes the messages in place."""
    for message in messages:
        if message.get("role") == "user":
            _update_content(message, content, append=False)
            break
    return messages


def update_message_content(message: Message, content: str, append: bool = True) -> Message:
    """Puts a line of text after or before that of a message; changes it in place."""
    _update_content(message, content, append)
    return message


def add_or_update_system_message(content: str, messages: list[Message], append: bool = False) -> list[Message]:
    """Puts a line of text into the leading system message, or inserts one; changes the list in place."""
    if messages and messages[0].get("role") == "system":
        _update_content(messages[0], content, append)
    else:
        messages.insert(0, {"role": "system", "content": content})
    return messages


def replace_system_message_content(content: str, messages: list[Message]) -> list[Message]:
    """Sets the text of every system message; changes them in place."""
    for message in messages:
        if message.get("role") == "system":
            message["content"] = content
    return messages


def add_or_update_user_message(content: str, messages: list[Message], append: bool = True) -> list[Message]:
    """Puts a line of text into the last message if it is the user's, or appends one; changes the list in place."""
    return _add_or_update_last("user", content, messages, append)


def append_or_update_assistant_message(content: str, messages: list[Message]) -> list[Message]:
    """Adds a line of text to the last message if it is the assistant's, or appends one; changes the list in place."""
    return _add_or_update_last("assistant", content, messages, append=True)


def openai_chat_message_template(model: str) -> dict[str, Any]:
    """The members that whole answers and chunks share."""
    return {
        "id": f"{model}-{uuid.uuid4()}",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "logprobs": None, "finish_reason": None}],
    }


def openai_chat_chunk_message_template(
    model: str,
    content: str | None = None,
    reasoning_content: str | None = None,
    tool_calls: list[dict[str, Any]] | None = None,
    usage: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One chunk of a streamed answer; the last one, if it carries nothing."""
    template = openai_chat_message_template(model)
    template["object"] = "chat.completion.chunk"
    members = {"content": content, "reasoning_content": reasoning_content, "tool_calls": tool_calls}
    choice = template["choices"][0]
    choice["delta"] = {name: value for name, value in members.items() if value}
    if not choice["delta"]:
        choice["finish_reason"] = "stop"
    if usage:
        template["usage"] = usage
    return template


def openai_chat_completion_message_template(
    model: str,
    message: str | None = None,
    reasoning_content: str | None = None,
    tool_calls: list[dict[str, Any]] | None = None,
    usage: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A whole answer."""
    template = openai_chat_message_template(model)
    template["object"] = "chat.completion"
    choice = template["choices"][0]
    choice["finish_reason"] = "stop"
    if message is not None:
        extras = {"reasoning_content": reasoning_content, "tool_calls": tool_calls}
        given = {name: value for name, value in extras.items() if value}
        choice["message"] = {"role": "assistant", "content": message, **given}
    if usage:
        template["usage"] = usage
    return template


def _last(messages: list[Message], role: str) -> Message | None:
    return next((message for message in reversed(messages) if message.get("role") == role), None)


def _add_or_update_last(role: str, content: str, messages: list[Message], append: bool) -> list[Message]:
    if messages and messages[-1].get("role") == role:
        _update_content(messages[-1], content, append)
    else:
        messages.append({"role": role, "content": content})
    return messages


def _update_content(message: Message, content: str, append: bool) -> None:
    existing = message.get("content")
    if isinstance(existing, list):
        for part in existing:
            if part.get("type") == "text":
                part["text"] = _joined(part.get("text", ""), content, append)
    else:
        message["content"] = _joined(existing, content, append)


def _joined(existing: Any, content: str, append: bool) -> str:
    return f"{existing}\n{content}" if append else f"{content}\n{existing}"

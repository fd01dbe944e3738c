"""The Pipelines server's helpers for messages and tools."""

from __future__ import annotations

import inspect
import re
from typing import Any, Literal, Union, get_args, get_origin

from open_webui.utils.misc import (
    add_or_update_system_message,
    get_last_assistant_message,
    get_last_user_message,
    get_system_message,
    openai_chat_chunk_message_template,
    openai_chat_completion_message_template,
    pop_system_message,
    remove_system_message,
)

__all__ = [
    "add_or_update_system_message",
    "doc_to_dict",
    "get_last_assistant_message",
    "get_last_user_message",
    "get_message_content",
    "get_system_message",
    "get_tools_specs",
    "openai_chat_chunk_message_template",
    "openai_chat_completion_message_template",
    "pop_system_message",
    "remove_system_message",
    "stream_message_template",
]

_JSON_TYPES = {int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


def get_message_content(message: dict[str, Any]) -> str:
    """A message's text; of a list of parts, the first that is text, empty if none is."""
    content = message.get("content")
    if isinstance(content, list):
        return next((part["text"] for part in content if part.get("type") == "text"), "")
    return content or ""


def stream_message_template(model: str, message: str) -> dict[str, Any]:
    """One chunk of a streamed answer that carries `message`."""
    return openai_chat_chunk_message_template(model, message)


def doc_to_dict(docstring: str) -> dict[str, str]:
    """What the `:param name: text` lines of a docstring say, by name."""
    return dict(re.findall(r":param\s+(\w+):\s*(.+)", docstring or ""))


def get_tools_specs(tools: Any) -> list[dict[str, Any]]:
    """The public methods of an instance, as the functions a model may call."""
    return [_spec(name, method) for name, method in _public_methods(tools)]


def _public_methods(tools: Any) -> list[tuple[str, Any]]:
    methods = inspect.getmembers(tools, inspect.isroutine)
    return [(name, method) for name, method in methods if not name.startswith("_")]


def _spec(name: str, method: Any) -> dict[str, Any]:
    documentation = inspect.getdoc(method) or ""
    described = doc_to_dict(documentation)
    parameters = {
        parameter.name: parameter
        for parameter in inspect.signature(method).parameters.values()
        if parameter.name != "self" and not parameter.name.startswith("__")
    }
    properties = {name: _property(parameter, described) for name, parameter in parameters.items()}
    required = [name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
    return {
        "name": name,
        "description": documentation.split(":param", 1)[0].strip() or name,
        "parameters": {"type": "object", "properties": properties, "required": required},
    }


def _property(parameter: inspect.Parameter, described: dict[str, str]) -> dict[str, Any]:
    return {**_schema(parameter.annotation), "description": described.get(parameter.name, parameter.name)}


def _schema(annotation: Any) -> dict[str, Any]:
    """The JSON type of an annotation; annotations that are text or unknown are taken for strings."""
    if isinstance(annotation, str):
        named = {kind.__name__: word for kind, word in _JSON_TYPES.items()}
        return {"type": named.get(annotation.split("[", 1)[0].lower(), "string")}
    origin = get_origin(annotation)
    if origin is Literal:
        return {"type": "string", "enum": list(get_args(annotation))}
    if origin is Union:
        return _schema(next((kind for kind in get_args(annotation) if kind is not type(None)), str))
    return {"type": _JSON_TYPES.get(origin or annotation, "string")}

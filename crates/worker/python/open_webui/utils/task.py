"""Texts of background tasks: prompts with their variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from open_webui.utils.misc import get_content_from_message, get_last_user_message
from sluicegate_worker.compat.finder import missing

Message = dict[str, Any]


def get_task_model_id(
    default_model_id: str, task_model: str | None, task_model_external: str | None, models: Any
) -> str:
    """The model for background tasks: the configured one if it is there, else the chat's own."""
    is_local = (models.get(default_model_id) or {}).get("owned_by") == "ollama"
    wanted = task_model if is_local else task_model_external
    return wanted if wanted and wanted in models else default_model_id


def prompt_template(template: str, user: Any = None, *_: Any, **__: Any) -> str:
    """A prompt with the date, the time and the user filled in."""
    now = datetime.now()
    values = {
        "CURRENT_DATE": now.strftime("%Y-%m-%d"),
        "CURRENT_TIME": now.strftime("%I:%M:%S %p"),
        "CURRENT_DATETIME": now.strftime("%Y-%m-%d %I:%M:%S %p"),
        "CURRENT_WEEKDAY": now.strftime("%A"),
        "USER_NAME": member(user, "name", "Unknown"),
        "USER_LOCATION": member(member(user, "info", None), "location", "Unknown"),
    }
    for name, value in values.items():
        template = template.replace(f"{{{{{name}}}}}", str(value))
    return template


def prompt_variables_template(template: str, variables: dict[str, str]) -> str:
    """A prompt with variables filled in, whose names carry their braces."""
    for variable, value in variables.items():
        template = template.replace(variable, str(value))
    return template


def replace_prompt_variable(template: str, prompt: str) -> str:
    """A template with `{{prompt}}` filled in, whole or cut as in `{{prompt:start:50}}`."""
    return replaced(template, "prompt", lambda kind, count: cut_text(prompt, kind, count))


def replace_messages_variable(template: str, messages: list[Message] | None = None) -> str:
    """A template with `{{MESSAGES}}` filled in, all or some as in `{{MESSAGES:END:4}}`."""
    return replaced(template, "MESSAGES", lambda kind, count: lines_of(cut_list(messages or [], kind, count)))


def rag_template(template: str, context: str, query: str) -> str:
    """A template with what was found and what was asked."""
    for name, value in (("context", context), ("query", query)):
        template = template.replace(f"[{name}]", value).replace(f"{{{{{name.upper()}}}}}", value)
    return template


def tools_function_calling_generation_template(template: str, tools_specs: Any) -> str:
    """A template with the tools filled in."""
    return template.replace("{{TOOLS}}", tools_specs if isinstance(tools_specs, str) else json.dumps(tools_specs))


def messages_template(template: str, messages: list[Message], user: Any = None) -> str:
    """A template with the conversation filled in; the form most tasks share."""
    filled = replace_prompt_variable(template, get_last_user_message(messages) or "")
    return prompt_template(replace_messages_variable(filled, messages), user)


title_generation_template = messages_template
follow_up_generation_template = messages_template
tags_generation_template = messages_template
image_prompt_generation_template = messages_template
query_generation_template = messages_template


def replaced(template: str, name: str, value: Callable[[str, int], str]) -> str:
    """A template with a variable filled in, in each of its forms."""
    pattern = rf"{{{{{name}(?::(START|END|MIDDLETRUNCATE):(\d+))?}}}}"
    return re.sub(pattern, lambda found: value((found[1] or "").upper(), int(found[2] or 0)), template, flags=re.I)


def cut_text(text: str, kind: str, count: int) -> str:
    """A text's beginning, end, or both without the middle."""
    if kind == "MIDDLETRUNCATE" and len(text) > count:
        head = (count + 1) // 2
        return f"{text[:head]}...{text[len(text) - count // 2 :]}"
    return str(cut_list(text, kind, count))


def cut_list(items: Any, kind: str, count: int) -> Any:
    """The first or last so many, or the halves of them from both ends."""
    if kind == "START":
        return items[:count]
    if kind == "END":
        return items[max(len(items) - count, 0) :]
    if kind == "MIDDLETRUNCATE" and len(items) > count:
        return items[: (count + 1) // 2] + items[len(items) - count // 2 :]
    return items


def lines_of(messages: list[Message]) -> str:
    """Messages as text, one `ROLE: content` for each."""
    return "\n".join(f"{message['role'].upper()}: {get_content_from_message(message)}" for message in messages)


def member(record: Any, name: str, default: Any) -> Any:
    """A member of a record or dictionary, or the default."""
    found = record.get(name) if isinstance(record, dict) else getattr(record, name, None)
    return default if found is None else found


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

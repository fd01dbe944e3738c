"""Parameters and system prompts put into a request's body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from open_webui.utils.misc import add_or_update_system_message, replace_system_message_content
from open_webui.utils.task import prompt_template, prompt_variables_template
from sluicegate_worker.compat.finder import missing

#: Parameters of OpenAI's API with what makes their values right.
OPENAI_PARAMS: dict[str, Callable[[Any], Any]] = {
    "temperature": float,
    "top_p": float,
    "min_p": float,
    "max_tokens": int,
    "frequency_penalty": float,
    "presence_penalty": float,
    "reasoning_effort": str,
    "seed": lambda seed: seed,
    "stop": lambda stops: [str(stop) for stop in ([stops] if isinstance(stops, str) else stops)],
    "logit_bias": lambda biases: biases,
    "response_format": lambda form: form,
}


def apply_system_prompt_to_body(
    system: str | None,
    form_data: dict[str, Any],
    metadata: Any = None,
    user: Any = None,
    replace: bool = False,
    **_: Any,
) -> dict[str, Any]:
    """Puts a system prompt with its variables filled in before the messages; changes the body in place."""
    if not system:
        return form_data
    filled = prompt_template(prompt_variables_template(system, (metadata or {}).get("variables") or {}), user)
    messages = form_data.get("messages") or []
    if replace and any(message.get("role") == "system" for message in messages):
        form_data["messages"] = replace_system_message_content(filled, messages)
    else:
        form_data["messages"] = add_or_update_system_message(filled, messages)
    return form_data


apply_model_system_prompt_to_body = apply_system_prompt_to_body


def apply_model_params_to_body_openai(params: dict[str, Any], form_data: dict[str, Any]) -> dict[str, Any]:
    """Puts a model's parameters into a body, as far as OpenAI's API knows them; changes it in place."""
    for name, cast in OPENAI_PARAMS.items():
        if params.get(name) is not None:
            form_data[name] = cast(params[name])
    return form_data


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

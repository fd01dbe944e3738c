"""`__tools__` of a pipe: the tools of its request, each with a callable that runs it where its code lives."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate_worker.context import RequestContext

#: What the gateway is asked for.
METHOD = "tools.call"

#: Python's types for those of a schema.
TYPES = {"integer": int, "number": float, "string": str, "boolean": bool, "array": list, "object": dict}


def toolset(
    tools: list[dict[str, Any]] | None, request: RequestContext, messages: Any
) -> dict[str, dict[str, Any]]:
    """The tools by name: `{"tool_id", "callable", "spec", "metadata"}`. `messages` are what the tools are told of."""
    return {
        tool["name"]: {
            "tool_id": tool["tool_id"],
            "callable": make_callable(tool, request, messages),
            "spec": tool["spec"],
            "metadata": tool["metadata"],
        }
        for tool in tools or []
    }


def make_callable(tool: dict[str, Any], request: RequestContext, messages: Any) -> Callable[..., Awaitable[Any]]:
    """An async function that takes the tool's own parameters and gives its result."""
    signature = signature_of(tool["spec"])

    async def call(*args: Any, **kwargs: Any) -> Any:
        chosen = {name: value for name, value in kwargs.items() if not name.startswith("__")}
        bound = signature.bind(*args, **chosen)
        question = {"tool_id": tool["tool_id"], "name": tool["method"], "parameters": bound.arguments}
        told = {"metadata": request.travelling_metadata(), "messages": messages}
        return await request.callbacks.ask(request.id, METHOD, {**question, **told})

    call.__name__ = call.__qualname__ = tool["name"]
    call.__doc__ = tool["spec"].get("description")
    vars(call)["__signature__"] = signature
    return call


def signature_of(spec: dict[str, Any]) -> inspect.Signature:
    """The signature that a tool's parameters add up to, as far as their schema tells."""
    schema = spec.get("parameters") or {}
    required = set(schema.get("required") or ())
    # Python wants those without a default first.
    ordered = sorted((schema.get("properties") or {}).items(), key=lambda entry: entry[0] not in required)
    return inspect.Signature([parameter_of(name, entry, name in required) for name, entry in ordered])


def parameter_of(name: str, schema: dict[str, Any], is_required: bool) -> inspect.Parameter:
    """One parameter."""
    default = inspect.Parameter.empty if is_required else schema.get("default")
    annotation = TYPES.get(str(schema.get("type")), inspect.Parameter.empty)
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)

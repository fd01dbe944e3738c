"""Tools. The gateway resolves and calls them itself; `__tools__` holds those of a request."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.inert import note_use


@asks
def get_tools(*_: Any, **__: Any) -> Steps:
    """None: toolkits run in processes of their own."""
    note_use(f"{__name__}.get_tools")
    return {}
    yield


get_builtin_tools = get_terminal_tools = get_tools


def get_async_tool_function_and_apply_extra_params(
    function: Callable[..., Any], extra_params: dict[str, Any]
) -> Callable[..., Awaitable[Any]]:
    """A coroutine function that calls the given one with those of the parameters that it names."""
    signature = inspect.signature(function)
    wanted = {name: value for name, value in extra_params.items() if name in signature.parameters}

    @wraps(function)
    async def called(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **{**wanted, **kwargs})
        return await result if inspect.isawaitable(result) else result

    left = [parameter for name, parameter in signature.parameters.items() if name not in wanted]
    vars(called)["__signature__"] = signature.replace(parameters=left)
    vars(called)["__extra_params__"] = wanted
    return called


def get_updated_tool_function(function: Callable[..., Any], extra_params: dict[str, Any]) -> Callable[..., Any]:
    """The same tool with other values of its extra parameters."""
    held = getattr(function, "__extra_params__", {})
    original = getattr(function, "__wrapped__", function)
    changed = {name: extra_params.get(name, value) for name, value in held.items()}
    return get_async_tool_function_and_apply_extra_params(original, changed) if held else function


def get_functions_from_tool(tool: object) -> list[Callable[..., Any]]:
    """The methods of a toolkit that are meant to be called."""
    names = (name for name in dir(tool) if not name.startswith("__"))
    found = (getattr(tool, name) for name in names)
    return [member for member in found if callable(member) and not isinstance(member, type)]


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

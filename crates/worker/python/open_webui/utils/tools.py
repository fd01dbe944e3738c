"""Tools. The gateway resolves and calls them itself; `__tools__` holds those of a request."""

from __future__ import annotations

from collections.abc import Callable
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


def get_functions_from_tool(tool: object) -> list[Callable[..., Any]]:
    """The methods of a toolkit that are meant to be called."""
    names = (name for name in dir(tool) if not name.startswith("__"))
    found = (getattr(tool, name) for name in names)
    return [member for member in found if callable(member) and not isinstance(member, type)]


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

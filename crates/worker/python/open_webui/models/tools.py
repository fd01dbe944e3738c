"""The gateway's tools, to look at; of their valves those that are stored."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import Table
from sluicegate_worker.compat.facade import Question, Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record, made, plain


class ToolMeta(Record):
    """A toolkit's description and frontmatter."""

    description: Any = None
    manifest: Any = {}


class ToolModel(Record):
    """A toolkit with its source."""

    id: Any = ""
    user_id: Any = ""
    name: Any = ""
    content: Any = ""
    specs: Any = []
    meta: Any = None
    valves: Any = None
    access_control: Any = None
    created_at: Any = 0
    updated_at: Any = 0


Tool = ToolResponse = ToolUserResponse = ToolUserModel = ToolModel


class ToolsTable(Table):
    """Looks toolkits up."""

    @asks
    def get_tool_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """The toolkit with this id."""
        return record((yield Question("tools.get", {"id": id})))

    @asks
    def get_tools(self, *_: Any, **__: Any) -> Steps:
        """All toolkits."""
        return [record(tool) for tool in (yield Question("tools.list", {})) or []]

    get_tools_by_user_id = get_tools

    @asks
    def get_tool_valves_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """A toolkit's stored valves."""
        return (yield Question("tools.valves", {"id": id})) or {}

    @asks
    def update_tool_valves_by_id(self, id: str, valves: Any, *_: Any, **__: Any) -> Steps:
        """Stores a toolkit's valves."""
        return (yield Question("tools.set_valves", {"id": id, "values": plain(valves)}))

    @asks
    def get_user_valves_by_id_and_user_id(self, id: str, user_id: str, *_: Any, **__: Any) -> Steps:
        """A user's stored valves of a toolkit."""
        return (yield Question("tools.user_valves", {"id": id, "user_id": user_id})) or {}


def record(found: Any) -> Any:
    """The gateway's answer as a record."""
    if isinstance(found, dict):
        found = {**found, "meta": ToolMeta(**(found.get("meta") or {}))}
    return made(ToolModel, found)


Tools = ToolsTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

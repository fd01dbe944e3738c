"""The gateway's functions, to look at; of their valves those that are stored."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import Table
from sluicegate_worker.compat.facade import Question, Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record, made, plain


class FunctionMeta(Record):
    """A function's description and frontmatter."""

    description: Any = None
    manifest: Any = {}


class FunctionModel(Record):
    """A function with its source."""

    id: Any = ""
    user_id: Any = ""
    name: Any = ""
    type: Any = ""
    content: Any = ""
    meta: Any = None
    valves: Any = None
    is_active: Any = False
    is_global: Any = False
    created_at: Any = 0
    updated_at: Any = 0


Function = FunctionResponse = FunctionWithValvesModel = FunctionModel


class FunctionForm(Record):
    """What a new function is made of."""

    id: Any = ""
    name: Any = ""
    content: Any = ""
    meta: Any = None


class FunctionsTable(Table):
    """Looks functions up."""

    @asks
    def get_function_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """The function with this id."""
        return record((yield Question("functions.get", {"id": id})))

    @asks
    def get_functions(self, active_only: bool = False, *_: Any, **__: Any) -> Steps:
        """All functions."""
        return (yield from self._list(active_only))

    @asks
    def get_functions_by_type(self, type: str, active_only: bool = False, *_: Any, **__: Any) -> Steps:
        """The functions of a kind."""
        return [found for found in (yield from self._list(active_only)) if found.type == type]

    @asks
    def get_global_filter_functions(self, *_: Any, **__: Any) -> Steps:
        """The filters that run on every model."""
        return [found for found in (yield from self._list(True)) if found.type == "filter" and found.is_global]

    @asks
    def get_global_action_functions(self, *_: Any, **__: Any) -> Steps:
        """The actions that every model has."""
        return [found for found in (yield from self._list(True)) if found.type == "action" and found.is_global]

    @asks
    def get_function_valves_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """A function's stored valves."""
        return (yield Question("functions.valves", {"id": id})) or {}

    @asks
    def update_function_valves_by_id(self, id: str, valves: Any, *_: Any, **__: Any) -> Steps:
        """Stores a function's valves."""
        return (yield Question("functions.set_valves", {"id": id, "values": plain(valves)}))

    @asks
    def get_user_valves_by_id_and_user_id(self, id: str, user_id: str, *_: Any, **__: Any) -> Steps:
        """A user's stored valves of a function."""
        return (yield Question("functions.user_valves", {"id": id, "user_id": user_id})) or {}

    def _list(self, active_only: bool) -> Steps:
        found = [record(function) for function in (yield Question("functions.list", {})) or []]
        return [function for function in found if function.is_active or not active_only]


def record(found: Any) -> Any:
    """The gateway's answer as a record."""
    if isinstance(found, dict):
        found = {**found, "meta": FunctionMeta(**(found.get("meta") or {}))}
    return made(FunctionModel, found)


Functions = FunctionsTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

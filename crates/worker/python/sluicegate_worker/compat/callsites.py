"""Which calls of a function's module are awaited, told from its syntax tree.

Lookups such as `Users.get_user_by_id(…)` were plain up to version 0.8 of Open WebUI and are coroutines since 0.9.
One and the same method answers both kinds of callers, as each call's place in the source says.
"""

from __future__ import annotations

import ast
import sys
from itertools import islice
from types import CodeType, FrameType

#: The module attribute that holds a `CallSites`.
CALL_SITES = "__sluicegate_call_sites__"

#: What turns a coroutine into something that runs: a call among its arguments is meant to be awaited.
RUNNERS = {
    "create_task",
    "ensure_future",
    "gather",
    "run",
    "run_coroutine_threadsafe",
    "run_until_complete",
    "shield",
    "wait_for",
}

#: Where an expression ends in the source: line and column.
Place = tuple[int | None, int | None]


class CallSites:
    """The calls of one module."""

    def __init__(self, tree: ast.Module) -> None:
        self._awaited: set[Place] = set()
        self._passed_on: set[Place] = set()
        self._known: dict[tuple[CodeType, int], bool] = {}
        names = names_awaited(tree)
        for node in ast.walk(tree):
            self._note(node, names)
        #: Whether any call of a method is awaited that may be one of a model class.
        self.awaits_models = any(is_model_await(node) for node in ast.walk(tree))

    def is_awaited(self, frame: FrameType) -> bool:
        """Whether the call that a frame of the module is making gives what is then awaited."""
        key = (frame.f_code, frame.f_lasti)
        if key not in self._known:
            position = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), (None,) * 4)
            place = (position[1], position[3])
            passed_on = place in self._passed_on and self.awaits_models
            self._known[key] = place in self._awaited or passed_on
        return self._known[key]

    def _note(self, node: ast.AST, names: set[str]) -> None:
        if isinstance(node, ast.Await):
            self._await(node.value)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            if any(isinstance(target, ast.Name) and target.id in names for target in node.targets):
                self._awaited.add(place_of(node.value))
        elif isinstance(node, ast.Call):
            places = {place_of(argument) for argument in calls_among(node)}
            (self._awaited if last_name(node.func) in RUNNERS else self._passed_on).update(places)

    def _await(self, value: ast.expr) -> None:
        # `await (a() if x else b())` awaits either.
        for branch in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
            if isinstance(branch, ast.Call):
                self._awaited.add(place_of(branch))


def caller_awaits() -> bool:
    """Whether the function's code that is running now awaits what it calls."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        sites = frame.f_globals.get(CALL_SITES)
        if isinstance(sites, CallSites):
            return sites.is_awaited(frame)
        frame = frame.f_back
    # Called by a thread or the loop itself, as by `asyncio.to_thread(Users.get_user_by_id, id)`.
    return False


def place_of(node: ast.expr) -> Place:
    """Where a call ends, which no other call does."""
    return node.end_lineno, node.end_col_offset


def calls_among(node: ast.Call) -> list[ast.Call]:
    """The calls among a call's arguments, also those in a list or comprehension it unpacks."""
    found: list[ast.Call] = []
    for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
        value = argument.value if isinstance(argument, ast.Starred) else argument
        parts = value.elts if isinstance(value, (ast.List, ast.Tuple)) else [value]
        if isinstance(value, (ast.ListComp, ast.GeneratorExp)):
            parts = [value.elt]
        found += [part for part in parts if isinstance(part, ast.Call)]
    return found


def names_awaited(tree: ast.Module) -> set[str]:
    """Names whose value is awaited, in a module that does not look first whether it can be."""
    text = {last_name(node) for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute))}
    if text & {"isawaitable", "iscoroutine", "__await__", "Awaitable"}:
        return set()
    awaits = (node.value for node in ast.walk(tree) if isinstance(node, ast.Await))
    return {value.id for value in awaits if isinstance(value, ast.Name)}


def is_model_await(node: ast.AST) -> bool:
    """Whether a node awaits a call such as `Users.get_user_by_id(…)`, by the capital letter of what it is made on."""
    if not isinstance(node, ast.Await) or not isinstance(node.value, ast.Call):
        return False
    function = node.value.func
    return isinstance(function, ast.Attribute) and last_name(function.value)[:1].isupper()


def last_name(node: ast.expr) -> str:
    """The name, or the last one of a dotted path."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""

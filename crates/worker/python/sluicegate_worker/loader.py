"""Source text to a living instance, and what is learnt on the way.

`Function.learnt` makes the payload of a `Ready` frame:

- `kind`: `pipe`, `filter`, `action`, `event` or `tools`; `name`, `icon`, `icon_url`: text or null
- `handlers`: by name `{"async", "generator", "parameters"}`
- `toggle`, `file_handler`, `citation`, `has_valves`, `has_user_valves`, `needs_loop`: booleans
- `valves_spec`, `user_valves_spec`: JSON schema or null; `priority`: of `Valves()`, 0 if there is none
- `targets`: the models that a filter of the Pipelines server names in its own valves, else null
- `pipes`: `none`, `list` or `callable`; `actions`: an action's list of `{"id", "name"?, "icon_url"?}`
- `specs`: a `Tools` class's callables, each `{"name", "description", "parameters"}` as models are told of them
- `warnings`: sentences for the author
"""

from __future__ import annotations
import __future__

import ast
import os
import sys
from collections.abc import Callable
from enum import EnumType
from types import CodeType, ModuleType
from typing import Any

from sluicegate_worker import pipelines, valves
from sluicegate_worker.compat.callsites import CALL_SITES, CallSites
from sluicegate_worker.compat.siblings import LOADED

#: A module's classes in the order in which the real product looks for them, with the handlers of each.
KINDS = {
    "Pipe": ("pipe", ("pipe",)),
    "Filter": ("filter", ("inlet", "request", "stream", "outlet")),
    "Action": ("action", ("action",)),
    "Event": ("event", ("event",)),
}

#: The class of files for the Pipelines server, looked for after the others.
PIPELINE = "Pipeline"

#: What the ids of tools begin with, which have names of their own.
TOOL_PREFIX = "tool:"

#: Top-level names that old sources import from and that live in `open_webui`.
MOVED_MODULES = ("utils", "apps", "main", "config")

#: The Pipelines server's own below one of these names.
SERVER_MODULES = "utils.pipelines"

#: Names whose use means that sync code has to stay on the loop's thread.
LOOP_NAMES = {"create_task", "get_running_loop", "get_event_loop", "ensure_future", "current_task", "sqlite3"}

#: Names whose use beside loops of its own means that sync code looks for the running loop all the same.
RUNNING_LOOP_NAMES = (LOOP_NAMES - {"get_event_loop"}) | {"is_running", "run_coroutine_threadsafe", "call_soon", "call_later"}


class LoadError(Exception):
    """The source is no function."""


class Function:
    """A function's module, its instance, and what can be said of them."""

    def __init__(self, id: str, module: ModuleType, tree: ast.Module, is_tool: bool = False) -> None:
        self.id = id
        self.module = module
        self.runs_loops = runs_loops(tree)
        self.needs_loop = not self.runs_loops and needs_loop(tree)
        self.warnings: list[str] = []
        self.pipeline: pipelines.Adapter | None = None
        self.kind, self._handler_names, make = find_tools(module) if is_tool else find_class(module)
        self.instance: Any = make()
        if isinstance(self.instance, pipelines.Adapter):
            self._adopt(self.instance)
            return
        #: The object the file's own code calls `self`.
        self.owner: Any = self.instance
        self.valves_model = self._class_named("Valves")
        self.user_valves_model = self._class_named("UserValves")
        self.handlers = self._find_handlers()

    def _adopt(self, pipeline: pipelines.Adapter) -> None:
        self.pipeline = pipeline
        self.kind = pipeline.kind
        self.owner = pipeline.inner
        self.valves_model = pipeline.valves_model()
        self.user_valves_model = None
        self.handlers = pipeline.handlers
        self.warnings += pipeline.warnings

    @property
    def own_values(self) -> dict[str, Any]:
        """The values that stay below the stored ones: those a `Pipeline` was made with."""
        return {} if self.pipeline is None else self.pipeline.own_values

    def learnt(self) -> dict[str, Any]:
        """The part of a `Ready` payload that the module and the instance tell."""
        return {
            "kind": self.kind,
            "name": text(getattr(self.instance, "name", None)),
            "icon": text(self._attribute("icon")),
            "icon_url": text(self._attribute("icon_url")),
            "toggle": bool(self._attribute("toggle")),
            "file_handler": bool(self._attribute("file_handler")),
            "citation": self._attribute("citation") in (None, True),
            "has_valves": self.valves_model is not None,
            "has_user_valves": self.user_valves_model is not None,
            "valves_spec": self._schema("Valves", self.valves_model),
            "user_valves_spec": self._schema("UserValves", self.user_valves_model),
            "priority": self.priority({}),
            "targets": None if self.pipeline is None else self.pipeline.targets(),
            "pipes": self._pipes_form(),
            "actions": self._actions(),
            "specs": self._specs(),
            "needs_loop": self.needs_loop,
            "warnings": self.warnings,
        }

    def priority(self, values: dict[str, Any]) -> float:
        """The function's place in the order under these stored values; 0 where it cannot be told."""
        return valves.priority(self.valves_model, {**self.own_values, **values}, self._attribute("priority"))

    def register(self) -> None:
        """Puts the module into `sys.modules`."""
        sys.modules[self.module.__name__] = self.module

    def unregister(self) -> None:
        """Takes the module out of `sys.modules`, unless a newer one has its place."""
        if sys.modules.get(self.module.__name__) is self.module:
            del sys.modules[self.module.__name__]

    def _find_handlers(self) -> dict[str, Callable[..., Any]]:
        if self.kind == "tools":
            from sluicegate_worker import toolspec

            return toolspec.callables(self.instance)
        found = {name: getattr(self.instance, name, None) for name in self._handler_names}
        return {name: handler for name, handler in found.items() if callable(handler)}

    def _attribute(self, name: str) -> Any:
        # The instance first, which sees its class too; then the module, where older documents put them.
        return getattr(self.instance, name, getattr(self.module, name, None))

    def _class_named(self, name: str) -> type | None:
        found = self._attribute(name)
        return found if isinstance(found, type) else None

    def _schema(self, name: str, model: type | None) -> dict[str, Any] | None:
        try:
            return valves.schema(model)
        except Exception as error:
            self.warnings.append(f"`{name}` has no JSON schema: {error}")
            return None

    def _pipes_form(self) -> str:
        pipes = getattr(self.instance, "pipes", None) if self.kind == "pipe" else None
        if callable(pipes):
            return "callable"
        return "none" if pipes is None and not hasattr(self.instance, "pipes") else "list"

    def _specs(self) -> list[dict[str, Any]]:
        if self.kind != "tools":
            return []
        from sluicegate_worker import toolspec

        specs = []
        for name, tool in self.handlers.items():
            try:
                spec = toolspec.spec(name, tool)
            except Exception as error:
                self.warnings.append(f"`{name}` cannot be described to a model: {error}")
                continue
            specs.append({**spec, "raw_description": toolspec.raw_description(name, tool)})
        return specs

    def _actions(self) -> list[dict[str, str]]:
        actions = getattr(self.instance, "actions", None) if self.kind == "action" else None
        if not isinstance(actions, list):
            return []
        known = [action for action in actions if isinstance(action, dict) and "id" in action]
        return [{name: str(value) for name, value in action.items()} for action in known]


def load(id: str, source: str, directory: str) -> Function:
    """Runs a function's source and makes its instance. Whatever it raises is why it cannot be loaded."""
    is_tool = id.startswith(TOOL_PREFIX)
    id = id.removeprefix(TOOL_PREFIX)
    name = f"tool_{id}" if is_tool else f"function_{id}"
    path = write_source(name, source, directory)
    tree, code = compile_source(source, path)
    if pipelines.has_pipeline(tree):
        pipelines.provide_server_modules()
    module = ModuleType(name)
    module.__file__ = path
    module.__dict__[CALL_SITES] = CallSites(tree)
    previous = sys.modules.get(module.__name__)
    # Before it runs, because a module may look itself up.
    sys.modules[module.__name__] = module
    try:
        exec(code, module.__dict__)
        function = Function(id, module, tree, is_tool)
        module.__dict__[LOADED] = function
        return function
    except BaseException:
        restore(module.__name__, previous)
        raise


def restore(name: str, previous: ModuleType | None) -> None:
    """Puts back what a failed load displaced."""
    if previous is None:
        del sys.modules[name]
    else:
        sys.modules[name] = previous


def write_source(name: str, source: str, directory: str) -> str:
    """Puts the text in a file, so that `__file__` exists and `inspect` and tracebacks find the lines."""
    path = os.path.join(directory, f"{name}.py")
    serial = 1
    while os.path.exists(path):
        serial += 1
        path = os.path.join(directory, f"{name}_{serial}.py")
    with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(source)
    return path


def compile_source(source: str, path: str) -> tuple[ast.Module, CodeType]:
    """Syntax tree and code. In an error's text the file is called `<string>`, as users know it."""
    try:
        tree = ast.parse(source, path)
        rewrite_imports(tree)
        # Annotations stay text: some name classes that are imported for type checkers only.
        flags = __future__.annotations.compiler_flag
        return tree, compile(tree, path, "exec", flags=flags, dont_inherit=True)
    except SyntaxError as error:
        error.filename = "<string>"
        raise


def rewrite_imports(tree: ast.Module) -> None:
    """Lets `from utils.misc import …` and its like mean the package `open_webui`. Nothing else changes."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level > 0 or node.module is None:
            continue
        is_servers = f"{node.module}.".startswith(f"{SERVER_MODULES}.")
        if node.module.partition(".")[0] in MOVED_MODULES and not is_servers:
            node.module = f"open_webui.{node.module}"


def find_class(module: ModuleType) -> tuple[str, tuple[str, ...], Callable[[], Any]]:
    """The class that makes the module a function, with its kind and the handlers it may have."""
    for name, (kind, handlers) in KINDS.items():
        found = getattr(module, name, None)
        # Toolkits often have an enumeration called `Event` or `Action`.
        if found is not None and not isinstance(found, EnumType):
            return kind, handlers, found
    if hasattr(module, PIPELINE):
        make = getattr(module, PIPELINE)
        return "pipe", (), lambda: pipelines.Adapter(make())
    raise LoadError("No Function class found in the module")


def find_tools(module: ModuleType) -> tuple[str, tuple[str, ...], Callable[[], Any]]:
    """The class `Tools`, whose public methods are what it has to offer."""
    if not hasattr(module, "Tools"):
        raise LoadError("No Tools class found in the module")
    return "tools", (), module.Tools


def text(found: Any) -> str | None:
    """An attribute's value if it is text."""
    return found if isinstance(found, str) else None


def needs_loop(tree: ast.Module) -> bool:
    """Whether sync code of the module may need the loop or stay bound to one thread."""
    return any(name in LOOP_NAMES for node in ast.walk(tree) for name in names_in(node)) or any(
        isinstance(node, ast.Attribute) and node.attr == "local" and names_in(node.value) == ["threading"]
        for node in ast.walk(tree)
    )


def runs_loops(tree: ast.Module) -> bool:
    """Whether sync code of the module runs loops of its own, which asyncio refuses on a thread whose loop runs."""
    nodes = list(ast.walk(tree))
    names = {name for node in nodes for name in names_in(node)}
    runs = "run_until_complete" in names or any(
        isinstance(node, ast.Attribute) and node.attr == "run" and names_in(node.value) == ["asyncio"] for node in nodes
    )
    return runs and not names & RUNNING_LOOP_NAMES


def names_in(node: ast.AST) -> list[str]:
    """The names a node itself mentions."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "", *(alias.name for alias in node.names)]
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return []

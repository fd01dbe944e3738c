"""Files written for the Pipelines server: class `Pipeline`, presented as the pipe or filter that it is.

What differs from a function of Open WebUI's own: `inlet` and `outlet` get `user` as their second argument, `pipe`
gets `(user_message, model_id, messages, body)` and runs in a thread, the constructor's valves stay below the stored
ones, and `on_startup`, `on_shutdown` and `on_valves_updated` tell the instance what happens to it.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from open_webui.utils.misc import get_last_user_message

from sluicegate_worker.scope import CURRENT, Scope
from sluicegate_worker.valves import Values, ValvesStore

#: The folder of the modules that the Pipelines server has at the top: `schemas`, `utils.pipelines`, `blueprints`.
SERVER_MODULES = Path(__file__).resolve().parent.parent / "pipelines_server"

#: Threads for the sync `pipe`, which the Pipelines server calls from as many at a time.
THREADS = 40

#: How long `on_shutdown` may take: the process ends two seconds after its socket has.
SHUTDOWN_SECONDS = 1.5

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

Handler = Callable[..., Any]


def has_pipeline(tree: ast.Module) -> bool:
    """Whether a module has a class `Pipeline` of its own or from elsewhere."""
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
    return "Pipeline" in names


def provide_server_modules() -> None:
    """Lets the Pipelines server's own modules be imported, which only its files ask for."""
    path = str(SERVER_MODULES)
    if path not in sys.path:
        sys.path.insert(0, path)


class Adapter:
    """A `Pipeline` in the shape of a pipe or filter."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        declared = getattr(inner, "type", "pipe")
        self.kind = "filter" if declared == "filter" else "pipe"
        self.warnings: list[str] = []
        if declared not in ("pipe", "manifold", "filter"):
            self.warnings.append("`type` is none of `pipe`, `manifold` and `filter`: it is taken for a pipe")
        #: What the constructor left in `valves`: it reads the environment for fields that have no default.
        self.own_values = dumped(getattr(inner, "valves", None))
        if declared == "manifold":
            self.pipes = self._list_models
        # A pipe may have `inlet` and `outlet` as well, for its own models.
        self.handlers = self._filter_handlers() | ({} if self.kind == "filter" else self._pipe_handlers())

    @property
    def name(self) -> Any:
        """The Pipeline's name, which may change while it starts."""
        return getattr(self.inner, "name", None)

    def valves_model(self) -> type | None:
        """The class of the valves: that of the values the constructor made, else the one that is declared."""
        made = type(getattr(self.inner, "valves", None))
        if hasattr(made, "model_fields"):
            return made
        declared = getattr(self.inner, "Valves", None)
        return declared if isinstance(declared, type) else None

    def targets(self) -> list[str] | None:
        """The models that a filter names in its valves; `None` if it does not choose them so."""
        if self.kind != "filter" or "pipelines" not in self.own_values:
            return None
        named = self.own_values["pipelines"]
        return [str(model) for model in named] if isinstance(named, (list, tuple)) else []

    def _list_models(self) -> Any:
        models = getattr(self.inner, "pipelines", None)
        return models() if callable(models) else models

    def _filter_handlers(self) -> dict[str, Handler]:
        found = {name: getattr(self.inner, name, None) for name in ("inlet", "outlet")}
        return {name: with_user(handler) for name, handler in found.items() if callable(handler)}

    def _pipe_handlers(self) -> dict[str, Handler]:
        pipe = getattr(self.inner, "pipe", None)
        return {"pipe": self._with_four_arguments(pipe)} if callable(pipe) else {}

    def _with_four_arguments(self, pipe: Handler) -> Handler:
        names = parameter_names(pipe)

        def call(body: Values, __user__: Values, __id__: str) -> Any:
            given = self._pipe_arguments(body, __user__, __id__)
            if names is None or given.keys() <= names:
                return pipe(**given)
            return pipe(*given.values())

        async def call_async(body: Values, __user__: Values, __id__: str) -> Any:
            return await call(body, __user__, __id__)

        return call_async if inspect.iscoroutinefunction(pipe) else call

    def _pipe_arguments(self, body: Values, user: Values, id: str) -> dict[str, Any]:
        body["user"] = {name: user.get(name) for name in ("name", "id", "email", "role")}
        messages = body.get("messages") or []
        model = str(body.get("model", id))
        return {
            "user_message": get_last_user_message(messages),
            "model_id": model.partition(".")[2] or model,
            "messages": messages,
            "body": body,
        }


class Lifecycle:
    """What a Pipeline is told of its own life, each time by a coroutine of its own."""

    def __init__(self, adapter: Adapter, slot_id: int, store: ValvesStore | None, finish: Callable[[Scope], None]) -> None:
        self._inner = adapter.inner
        self._slot_id = slot_id
        self._store = store
        self._finish = finish
        self._values: Values = {}
        #: `on_valves_updated` while it runs; calls wait for it.
        self.updating: asyncio.Task[None] | None = None

    async def start(self, values: Values | None) -> None:
        """Runs `on_startup`, with the stored valves in place if they fit."""
        if self._store is not None and values and self._store.fits(values):
            self._store.add(0, values)
            self._values = values
        await self._tell("on_startup")

    def valves_changed(self, values: Values) -> None:
        """Runs `on_valves_updated`, unless these are the values that are known already."""
        if values == self._values:
            return
        self._values = values
        before = self.updating
        self.updating = asyncio.get_running_loop().create_task(self._update(before))

    async def stop(self) -> None:
        """Runs `on_shutdown`, for a while at most."""
        try:
            await asyncio.wait_for(self._tell("on_shutdown"), SHUTDOWN_SECONDS)
        except BaseException:
            self._print_exception()

    async def settled(self) -> None:
        """Returns once new valves have been told of."""
        while (task := self.updating) is not None and not task.done():
            await asyncio.shield(task)

    async def _update(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        try:
            await self._tell("on_valves_updated")
        except BaseException:
            self._print_exception()

    async def _tell(self, name: str) -> None:
        handler = getattr(self._inner, name, None)
        if not callable(handler):
            return
        # Outside any call: `self.valves` is the newest, and what is assigned to it lasts.
        scope = Scope(self._slot_id)
        CURRENT.set(scope)
        try:
            told = handler()
            if inspect.isawaitable(told):
                await told
        finally:
            self._finish(scope)

    def _print_exception(self) -> None:
        scope = Scope(self._slot_id)
        CURRENT.set(scope)
        traceback.print_exc()
        self._finish(scope)


def with_user(handler: Handler) -> Handler:
    """`inlet` or `outlet` with the user as the second argument, whatever that is called."""
    takes_user = positions(handler) > 1

    async def call(body: Values, __user__: Values) -> Any:
        result = handler(body, __user__) if takes_user else handler(body)
        return await result if inspect.isawaitable(result) else result

    return call


def positions(handler: Handler) -> int:
    """How many arguments a handler takes by position."""
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return sys.maxsize
    return sum(parameter.kind in _POSITIONAL for parameter in parameters)


def parameter_names(handler: Handler) -> set[str] | None:
    """The names a handler may be called with; `None` if it takes any."""
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {parameter.name for parameter in parameters}


def dumped(valves: Any) -> Values:
    """The values of a valves instance by name."""
    if valves is None:
        return {}
    if isinstance(valves, dict):
        return dict(valves)
    dump = getattr(valves, "model_dump", None)
    values: Values = dict(vars(valves)) if dump is None else dump()
    return values

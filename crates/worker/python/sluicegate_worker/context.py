"""One function's part in one client request, and what handlers may ask of it by parameter name."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sluicegate_core as core

from sluicegate_worker import toolset, valves
from sluicegate_worker.callbacks import Callbacks
from sluicegate_worker.events import Emitter, EventLog, emitter, event_call
from sluicegate_worker.failures import Unknown
from sluicegate_worker.http_request import Request
from sluicegate_worker.link import Link
from sluicegate_worker.scope import Scope
from sluicegate_worker.standins import User, model_entry

if TYPE_CHECKING:
    from sluicegate_worker.calls import Plan
    from sluicegate_worker.series import Series
    from sluicegate_worker.slots import Slot


#: Stands for what was not looked at yet.
UNREAD = object()


class RequestContext:
    """What stays the same between a function's calls in one request, from `Open` to `Close`."""

    def __init__(self, id: int, slot: Slot, opened: core.Opened, link: Link, callbacks: Callbacks) -> None:
        self.id = id
        self.slot = slot
        self.callbacks = callbacks
        self.version: int = opened.valves
        self._link = link
        # Members of the metadata that are no JSON: they cannot travel, so they stay here.
        self.kept: dict[str, Any] = {}
        # Parsed when a function looks at it: most look at little of it.
        self._opened = opened
        self._metadata: dict[str, Any] | None = None
        #: What the metadata was when the gateway told of it; `None` once that may be anything.
        self._metadata_told: core.Prototype | None = None
        self._model: Any = UNREAD
        self._user: User | None = None
        self._request: Request | None = None
        self._templates: core.Templates | None = None
        self._log: EventLog | None = None
        self._emitter: Emitter | None = None
        #: Calls whose tasks are under way.
        self.running: set[int] = set()
        self._context = contextvars.copy_context()
        self._busy = False
        self._is_over = False

    def take_metadata(self, metadata: Any) -> dict[str, Any]:
        """Replaces the metadata by what another function or the gateway made of it, and gives that."""
        taken: dict[str, Any] = metadata if isinstance(metadata, dict) else {}
        self._metadata_told, self._metadata = None, taken
        if "model" in taken:
            taken["model"] = model_entry(taken["model"])
        for name, value in self.kept.items():
            taken.setdefault(name, value)
        return taken

    @property
    def metadata(self) -> dict[str, Any]:
        """`__metadata__`."""
        known = self._metadata
        if known is None:
            metadata, told = self._opened.metadata()
            known = self.take_metadata(metadata)
            self._metadata_told = told
        return known

    def changed_metadata(self, returned: Any) -> dict[str, Any] | None:
        """The metadata, if it is not what the gateway knows; another object if a function `returned` one."""
        if isinstance(returned, dict) and returned is not self._metadata:
            self._metadata, self._metadata_told = returned, None
        if self._metadata is None:
            return None
        if self._metadata_told is not None and self._metadata_told.is_untouched(self._metadata):
            return None
        # From now on the gateway knows something else, and nobody here knows what.
        self._metadata_told = None
        return self._metadata

    def travelling_metadata(self) -> dict[str, Any]:
        """The metadata without the members that are no JSON."""
        self.kept = {}
        for name, value in self.metadata.items():
            try:
                core.dumps({name: value}, ours=0)
            except Exception:
                self.kept[name] = value
        return {name: value for name, value in self.metadata.items() if name not in self.kept}

    @property
    def log(self) -> EventLog:
        """What the function has emitted."""
        if self._log is None:
            self._log = EventLog()
        return self._log

    @property
    def emitter(self) -> Emitter:
        """`__event_emitter__`."""
        if self._emitter is None:
            self._emitter = emitter(self._link, self.id, self.log)
        return self._emitter

    @property
    def model(self) -> Any:
        """`__model__`: the model's entry in the list."""
        if self._model is UNREAD:
            self._model = self._opened.model()
        return self._model

    @property
    def user(self) -> User:
        """`__user__`: this function's own, so that its user valves are not seen by the next."""
        if self._user is None:
            self._user = User(self._opened.user() or {})
            if self.slot.user_model is not None:
                self._user["valves"] = valves.user_valves(self.slot.user_model, self._opened.user_valves())
        return self._user

    @property
    def request(self) -> Request:
        """`__request__`."""
        if self._request is None:
            self._request = Request(self._opened.request() or {}, self.model, self)
        return self._request

    @property
    def templates(self) -> core.Templates:
        """What the events of the answer are alike in."""
        if self._templates is None:
            self._templates = core.Templates()
        return self._templates

    def borrow(self) -> contextvars.Context:
        """The request's context variables; a copy while another call of the request uses them."""
        if self._busy:
            return self._context.copy()
        self._busy = True
        return self._context

    def give_back(self, context: contextvars.Context) -> None:
        """Ends what `borrow` began."""
        if context is self._context:
            self._busy = False
            if self._is_over:
                self._context = contextvars.Context()

    def end(self) -> None:
        """Lets go of what points back at the request, so that it goes with its last user and not as garbage that has
        to be searched for."""
        self._is_over = True
        self._request = None
        if not self._busy:
            self._context = contextvars.Context()


class Call(Scope):
    """One invocation of a handler."""

    __slots__ = ("context", "handler", "id", "payload", "plan", "series", "slot")

    def __init__(
        self,
        id: int,
        handler: int,
        payload: dict[str, Any],
        slot: Slot,
        request: RequestContext | None,
        plan: Plan | None = None,
    ) -> None:
        version = payload.get("valves", 0) if request is None else request.version
        super().__init__(slot.id, slot.store, version, request)
        self.id = id
        self.handler = handler
        self.payload: dict[str, Any] = payload
        self.slot: Slot = slot
        #: What is called in a request.
        self.plan = plan
        #: Set for one of several calls that were asked for together.
        self.series: Series | None = None
        self.context = contextvars.copy_context() if request is None else request.borrow()

    def needed_request(self) -> RequestContext:
        """The request, for calls that cannot be made without one."""
        if self.request is None:
            raise Unknown("the call belongs to no request")
        return self.request

    def finish(self) -> None:
        """Gives the context variables back, and lets go of them: one of them holds the call."""
        if self.request is not None:
            self.request.give_back(self.context)
        del self.context


Supplier = Callable[[Call, RequestContext], Any]


def _metadata(name: str, default: Any = None) -> Supplier:
    return lambda _, request: request.metadata.get(name, default)


def _valves(call: Call, _: RequestContext) -> Any:
    return call.slot.store.of(call) if call.slot.store is not None else None


def _files(call: Call, request: RequestContext) -> Any:
    files = call.payload.get("files")
    return (request.metadata.get("files") or []) if files is None else files


def _messages(call: Call, _: RequestContext) -> Any:
    messages = call.payload.get("messages")
    return (call.payload.get("body") or {}).get("messages") if messages is None else messages


#: Every name a handler can ask for, with what it gets.
SUPPLIERS: dict[str, Supplier] = {
    "__chat_id__": _metadata("chat_id"),
    "__event_call__": lambda _1, _2: event_call(),
    "__event_emitter__": lambda _, request: request.emitter,
    "__features__": _metadata("features"),
    "__files__": _files,
    "__id__": lambda call, _: call.payload.get("id") or call.slot.function_id,
    "__message_id__": _metadata("message_id"),
    "__messages__": _messages,
    "__metadata__": lambda _, request: request.metadata,
    "__model__": lambda _, request: request.model,
    "__oauth_token__": lambda _1, _2: None,
    "__request__": lambda _, request: request.request,
    "__session_id__": _metadata("session_id"),
    "__task__": _metadata("task"),
    "__task_body__": _metadata("task_body"),
    "__tools__": lambda call, request: toolset.toolset(call.payload.get("tools"), request, _messages(call, request)),
    "__user__": lambda _, request: request.user,
    "__valves__": _valves,
    "valves": _valves,
}

_FILTER = ("__id__", "__user__", "__metadata__", "__request__", "__model__", "__event_emitter__", "__event_call__")
_STREAM = (*_FILTER, "__oauth_token__", "__chat_id__", "__message_id__")

#: What each handler is given where its signature names it or has `**kwargs`.
CONTEXT_NAMES: dict[str, tuple[str, ...]] = {
    "inlet": _STREAM,
    "request": (*_STREAM, "__features__"),
    "stream": _STREAM,
    "outlet": _FILTER,
    "pipe": (
        "__event_emitter__",
        "__event_call__",
        "__chat_id__",
        "__session_id__",
        "__message_id__",
        "__task__",
        "__task_body__",
        "__files__",
        "__user__",
        "__metadata__",
        "__oauth_token__",
        "__request__",
        "__tools__",
    ),
    "tool": (*_STREAM, "__session_id__", "__messages__", "__files__"),
    "action": ("__model__", "__id__", "__event_emitter__", "__event_call__", "__request__", "__user__"),
}

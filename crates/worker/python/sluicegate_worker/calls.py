"""How a handler is called: with what, on which thread, and what becomes of its result."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sluicegate_core as core

from sluicegate_worker import results
from sluicegate_worker.context import CONTEXT_NAMES, SUPPLIERS, Call
from sluicegate_worker.failures import WrongReturn
from sluicegate_worker.lane import STOPWATCH, Lane, outcome
from sluicegate_worker.link import Link
from sluicegate_worker.scope import CURRENT

if TYPE_CHECKING:
    from sluicegate_worker.series import Series
    from sluicegate_worker.slots import Slot

#: Parameters that are filled only where the function has a `Valves` class.
VALVES_NAMES = {"valves", "__valves__"}

Parameters = dict[str, Any]


class Plan:
    """A handler and the names it is given, worked out once from its signature."""

    def __init__(self, name: str, handler: Callable[..., Any], has_valves: bool, given_as: str | None = None) -> None:
        self.name = name
        self.handler = handler
        self.is_async = inspect.iscoroutinefunction(handler)
        self.is_generator = inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler)
        self._parameters = parameters_of(handler)
        is_own = getattr(handler, "__name__", name) == name
        self.names = wanted_names(given_as or name, self._parameters, has_valves, is_own)
        self._suppliers = [(wanted, SUPPLIERS[wanted]) for wanted in self.names]

    def context_parameters(self, call: Call) -> Parameters:
        """The arguments that come from the request's context."""
        request = call.request
        if request is None or not self._suppliers:
            return {}
        return {name: supply(call, request) for name, supply in self._suppliers}

    def own_parameters(self, values: Parameters) -> Parameters:
        """Those of `values` that are the handler's to take: names with a leading underscore are the host's."""
        open_ended = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in self._parameters)
        listed = {parameter.name for parameter in self._parameters}
        return {
            name: value
            for name, value in values.items()
            if not name.startswith("_") and (open_ended or name in listed)
        }

    def described(self) -> dict[str, Any]:
        """The handler as the gateway stores it."""
        is_async = self.is_async or inspect.isasyncgenfunction(self.handler)
        names = [parameter.name for parameter in self._parameters]
        return {"async": is_async, "generator": self.is_generator, "parameters": names}

    def warnings(self, class_name: str) -> list[str]:
        """Parameters that nothing fills, so that every call fails."""
        filled = {*self.names, "event" if self.name == "stream" else "body"}
        return [
            f"`{class_name}.{self.name}` needs `{parameter.name}`, which nothing fills"
            for parameter in self._parameters
            if is_required(parameter) and parameter.name not in filled
        ]


def parameters_of(handler: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a handler; none if it does not tell."""
    try:
        return list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        return []


def wanted_names(
    handler: str, parameters: list[inspect.Parameter], has_valves: bool, is_own: bool = True
) -> list[str]:
    """The context names a handler is given: those it may have and lists, or all of them with `**kwargs`.

    A name it lists without a default is given in any case, if there is such a name at all. The `**kwargs` of a
    decorator's wrapper (not `is_own`) are left alone: they go to a function whose parameters nobody can see.
    """
    given = set(CONTEXT_NAMES.get(handler, ()))
    listed = {parameter.name for parameter in parameters}
    needed = {parameter.name for parameter in parameters if is_required(parameter)}
    wanted = (listed & given) | (needed & (SUPPLIERS.keys() - VALVES_NAMES))
    if has_valves:
        wanted |= listed & VALVES_NAMES
    if is_own and any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        wanted |= given
    return sorted(wanted)


def is_required(parameter: inspect.Parameter) -> bool:
    """Whether a call fails without this parameter."""
    open_ended = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in open_ended


def prepare(call: Call) -> None:
    """Makes the call known to everything that runs in its context from now on."""
    CURRENT.set(call)
    if call.slot.store is not None:
        call.slot.store.enter(call)


class Invocation:
    """What a filter's or action's call does, in the steps that sync and async handlers share."""

    #: How many times the handler is called.
    pieces = 1

    def __init__(self, call: Call, plan: Plan, link: Link | Series) -> None:
        self.call = call
        self.plan = plan
        self.link = link

    def run(self) -> Any:
        """The whole call of a sync handler."""
        prepare(self.call)
        return self.plan.handler(**self.parameters())

    async def run_async(self) -> Any:
        """The whole call of an async handler."""
        prepare(self.call)
        return await self.plan.handler(**self.parameters())

    def parameters(self) -> Parameters:
        """The handler's arguments."""
        parameters = self.plan.context_parameters(self.call)
        parameters["body"] = self.call.payload.get("body")
        return parameters

    def reply(self, result: Any) -> None:
        """Sends the handler's result; raises if it is of no use."""
        self.link.send(core.REPLY, self.call.id, {"result": result})

    def failure(self) -> dict[str, Any]:
        """What an `Error` frame carries beside the failure itself."""
        return {}


class ResultInvocation(Invocation):
    """An action or a tool: any result is one. A page for the user's eyes goes to him as an event."""

    def reply(self, result: Any) -> None:
        """Sends the pages, then the result."""
        result, pages = results.settled(result, self.plan.name)
        if pages:
            self.link.send(core.EMIT, self.call.needed_request().id, results.embeds(pages))
        try:
            self.link.send(core.REPLY, self.call.id, {"result": result})
        except (TypeError, ValueError, RecursionError):
            self.link.send(core.REPLY, self.call.id, {"result": results.plain(result)})


class ToolInvocation(ResultInvocation):
    """A callable of a `Tools` class, with what the model chose for its parameters."""

    def parameters(self) -> Parameters:
        """The callable's arguments."""
        chosen = self.call.payload.get("parameters") or {}
        return {**self.plan.own_parameters(chosen), **self.plan.context_parameters(self.call)}


class BodyInvocation(Invocation):
    """`inlet`, `request` and `outlet`: a body in, a body out, and the metadata with it."""

    def parameters(self) -> Parameters:
        """The handler's arguments. A request's `metadata` is the very object of `__metadata__`; an answer has none."""
        parameters = self.plan.context_parameters(self.call)
        body = parameters["body"] = self.call.payload.get("body")
        if self.plan.name != "outlet" and isinstance(body, dict):
            body["metadata"] = self.call.needed_request().metadata
        return parameters

    def reply(self, result: Any) -> None:
        """Sends body and metadata apart."""
        if not isinstance(result, dict):
            raise WrongReturn(wrong_return(self.call.slot, self.plan.name, result, "return the body"))
        request = self.call.needed_request()
        metadata = request.changed_metadata(result.get("metadata"))
        try:
            self.link.send_body(self.call.id, result, metadata)
        except (TypeError, ValueError, RecursionError):
            # Functions also keep things in the metadata that are no JSON. In the body that is an error.
            self._reply_without(request.travelling_metadata(), result)

    def _reply_without(self, metadata: dict[str, Any], body: dict[str, Any]) -> None:
        try:
            self.link.send_body(self.call.id, body, metadata)
        except (TypeError, ValueError) as error:
            slot = self.call.slot
            text = f"{slot.function.kind} {slot.function_id}: {self.plan.name} returned no JSON: {error}"
            raise WrongReturn(text) from error


class StreamInvocation(Invocation):
    """`stream`: one call of the handler for each event of a batch."""

    def __init__(self, call: Call, plan: Plan, link: Link | Series, events: list[Any] | None = None) -> None:
        super().__init__(call, plan, link)
        self.events: list[Any] = call.payload.get("events") or [] if events is None else events
        self.pieces = len(self.events) or 1
        self.done: list[Any] = []

    def run(self) -> Any:
        """Calls the handler for one event after the other."""
        pass_events(self.call, self.plan, self.events, self.done)
        return self.done

    async def run_async(self) -> Any:
        """Calls and awaits the handler for one event after the other."""
        prepare(self.call)
        parameters = self.plan.context_parameters(self.call)
        for event in self.events:
            self.done.append(passed_on(self.call, await self.plan.handler(event=event, **parameters)))
        return self.done

    def reply(self, result: Any) -> None:
        """Sends the events, null where one was dropped."""
        self.link.send(core.REPLY, self.call.id, {"events": result})

    def failure(self) -> dict[str, Any]:
        """The events finished before the one that failed."""
        return {"events": self.done}


class BatchInvocation(StreamInvocation):
    """The same for events that come in a frame of their own."""

    def __init__(self, call: Call, plan: Plan, link: Link, batch: core.Batch, events: list[Any]) -> None:
        super().__init__(call, plan, link, events)
        self._batch = batch
        self._link = link

    def reply(self, result: Any) -> None:
        """Sends the events, nothing where one was dropped."""
        self._link.send_events(self.call.id, self._batch, result)


def pass_events(call: Call, plan: Plan, events: list[Any], done: list[Any]) -> None:
    """Calls a sync `stream` for one event after the other; what it gives back is `done`."""
    prepare(call)
    handler, parameters = plan.handler, plan.context_parameters(call)
    for event in events:
        made = handler(event=event, **parameters) if parameters else handler(event=event)
        done.append(made if made.__class__ is dict and made else passed_on(call, made))


def passed_on(call: Call, event: Any) -> Any:
    """What becomes of an event after what `stream` gave back."""
    if event is None or isinstance(event, dict):
        # An empty event is dropped as well, as in the real product.
        return event or None
    raise WrongReturn(wrong_return(call.slot, "stream", event, "return the event, or None to drop it"))


def wrong_return(slot: Slot, handler: str, result: Any, advice: str) -> str:
    """The text for a handler that returned something of no use."""
    kind = "None" if result is None else type(result).__name__
    return f"{slot.function.kind} {slot.function_id}: {handler} returned {kind}; {advice}"


INVOCATIONS: dict[int, type[Invocation]] = {
    core.INLET: BodyInvocation,
    core.REQUEST: BodyInvocation,
    core.OUTLET: BodyInvocation,
    core.STREAM: StreamInvocation,
    core.ACTION: ResultInvocation,
    core.TOOL: ToolInvocation,
}


def run_inline(invocation: Invocation, lane: Lane) -> Any:
    """Runs a sync handler on this thread, which is the loop's, and takes the time."""
    began = STOPWATCH.start_in_burst()
    try:
        return invocation.call.context.run(invocation.run)
    finally:
        lane.note(began, invocation.pieces)


def pass_inline(call: Call, plan: Plan, events: list[Any], done: list[Any]) -> None:
    """As `run_inline`, for a sync `stream` whose events come in a frame of their own, which are most calls that there are.

    Without an invocation for each, such a call costs 5 µs of the worker's time instead of 6.
    """
    lane = call.slot.lane
    began = STOPWATCH.start_in_burst()
    try:
        call.context.run(pass_events, call, plan, events, done)
    finally:
        lane.note(began, len(events))


async def run_threaded(invocation: Invocation, lane: Lane) -> Any:
    """Runs a sync handler on its lane's thread. If cancelled, a handler that has begun goes on to its end."""
    return await outcome(lane.submit(invocation.call.context, invocation.run))

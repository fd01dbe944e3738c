"""How a handler is called: with what, on which thread, and what becomes of its result."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING, Any

import sluicegate_core as core

from sluicegate_worker import results
from sluicegate_worker.context import CONTEXT_NAMES, SUPPLIERS, Call
from sluicegate_worker.failures import WrongReturn
from sluicegate_worker.link import Link
from sluicegate_worker.scope import CURRENT

if TYPE_CHECKING:
    from sluicegate_worker.slots import Slot

#: Sync code that takes longer moves to a thread of its own, for its next calls.
SLOW_SECONDS = 0.002

#: How long a burst of calls may go on before what the thread has used is looked at again.
BURST_SECONDS = 0.000_2

#: How long a cancelled piece on a thread may take to end before the gateway is told that it goes on.
PIECE_SECONDS = 0.5

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
        if request is None:
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


class Lane:
    """Where a function's sync code runs: on the loop's thread while it is fast, then on a thread of its own.

    Either way one piece at a time, because many functions keep a request's values on `self`; `threads` above 1
    is the operator's word that this one does not. Code that runs loops of its own is on its thread from the start.
    """

    def __init__(self, threads: int, movable: bool, runs_loops: bool = False) -> None:
        self._threads = max(threads, 1)
        self._movable = movable
        self._call = with_event_loop if runs_loops else without_stop_iteration
        self._pool: ThreadPoolExecutor | None = None
        if threads > 1 or runs_loops:
            self._move()

    @property
    def moved(self) -> bool:
        """Whether sync code runs on threads of its own."""
        return self._pool is not None

    def note(self, began: float, pieces: int = 1) -> None:
        """Learns that so many pieces of sync code held the loop's thread from `began`, which `STOPWATCH` gave."""
        if STOPWATCH.is_slow(began, pieces):
            self._move()

    def submit(self, context: contextvars.Context, function: Callable[[], Any]) -> Future[Any]:
        """Runs a piece on the lane's thread, after those before it."""
        if self._pool is None:
            raise RuntimeError("the lane has no thread yet")
        return self._pool.submit(context.run, self._call, function)

    def close(self) -> None:
        """Lets the thread end once it is idle."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _move(self) -> None:
        if self._movable and self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="function")


class Stopwatch:
    """Tells slow code on the loop's thread from code that others, or a search for garbage, kept from running.

    What the thread has used is looked at once for a burst of calls, between which it does not wait.
    """

    def __init__(self) -> None:
        self._computed = 0.0
        self._waits = 0
        self._expires = 0.0
        self._collected = 0.0
        self._collects_since = 0.0
        gc.callbacks.append(self._note_collection)

    def start(self) -> float:
        """The time at which a piece begins."""
        self._computed, self._waits = self._usage()
        return self._now()

    def expire(self) -> None:
        """A burst begins: the thread has waited since the last."""
        self._expires = 0.0

    def start_in_burst(self) -> float:
        """As `start`, for pieces with nothing but our own code between them."""
        now = self._now()
        if now > self._expires:
            now = self.start()
            self._expires = now + BURST_SECONDS
        return now

    def is_slow(self, began: float, pieces: int) -> bool:
        """Whether the thread has waited or computed for long in so many pieces, the first of which began then."""
        if self._now() - began <= SLOW_SECONDS * pieces:
            return False
        computed, waits = self._usage()
        self.expire()
        return waits > self._waits or computed - self._computed > SLOW_SECONDS

    def _now(self) -> float:
        return perf_counter() - self._collected

    def _usage(self) -> tuple[float, int]:
        computed, waits = core.thread_usage()
        return computed - self._collected, waits

    def _note_collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collects_since = perf_counter()
        else:
            self._collected += perf_counter() - self._collects_since


#: The loop's thread's.
STOPWATCH = Stopwatch()


def without_stop_iteration(function: Callable[[], Any]) -> Any:
    """Calls the function. `StopIteration` cannot pass through a future, so it passes as another exception."""
    try:
        return function()
    except StopIteration as error:
        raise RuntimeError("function raised StopIteration") from error


def with_event_loop(function: Callable[[], Any]) -> Any:
    """Calls the function on a thread where `get_event_loop` gives a loop that does not run, as scripts expect."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return without_stop_iteration(function)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def unless_left_running(piece: Future[Any]) -> Any:
    """The result of a piece on a thread. A cancellation says if the piece goes on: the gateway then ends the process."""
    try:
        return await asyncio.wrap_future(piece)
    except asyncio.CancelledError as error:
        if piece.running():
            await ended_or_late(piece)
        vars(error)["left_running"] = piece.running()
        raise


async def ended_or_late(piece: Future[Any]) -> None:
    """Waits for a piece that cannot be cancelled to end by itself, for a moment; further cancellations change nothing."""
    deadline = perf_counter() + PIECE_SECONDS
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    piece.add_done_callback(lambda _: loop.call_soon_threadsafe(ended.set))
    while not ended.is_set() and (left := deadline - perf_counter()) > 0:
        with contextlib.suppress(asyncio.CancelledError, asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), left)


class SyncSteps:
    """Pieces of sync code that belong to one task: inline, or on the lane's thread once that is slow."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._thread_context: contextvars.Context | None = None
        self._pending: Future[Any] | None = None

    async def run(self, step: Callable[[], Any]) -> Any:
        """Runs one piece and gives its result."""
        if not self._lane.moved:
            began = STOPWATCH.start()
            try:
                return step()
            finally:
                self._lane.note(began)
        self._pending = self._lane.submit(self._context(), step)
        return await unless_left_running(self._pending)

    async def run_last(self, step: Callable[[], Any]) -> None:
        """Runs a piece whose result nobody waits for, once those before it are done, also if they were cancelled.

        One that does not end soon is as a call that cannot be cancelled: code may wait for ever as it is closed.
        """
        if not self._lane.moved:
            step()
            return
        if self._pending is None or self._pending.done():
            last = self._lane.submit(self._context(), step)
        else:
            last = self._after_pending(step)
        await ended_or_late(last)
        if not last.done():
            error = asyncio.CancelledError()
            vars(error)["left_running"] = True
            raise error

    def _after_pending(self, step: Callable[[], Any]) -> Future[Any]:
        context, last = self._context(), Future[Any]()

        def run(_: Future[Any]) -> None:
            try:
                context.run(step)
            finally:
                last.set_result(None)

        if self._pending is not None:
            self._pending.add_done_callback(run)
        return last

    def _context(self) -> contextvars.Context:
        # The task is inside its own context variables, which a thread cannot enter as well.
        if self._thread_context is None:
            self._thread_context = contextvars.copy_context()
        return self._thread_context


def prepare(call: Call) -> None:
    """Makes the call known to everything that runs in its context from now on."""
    CURRENT.set(call)
    if call.slot.store is not None:
        call.slot.store.enter(call)


class Invocation:
    """What a filter's or action's call does, in the steps that sync and async handlers share."""

    def __init__(self, call: Call, plan: Plan, link: Link) -> None:
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

    @property
    def pieces(self) -> int:
        """How many times the handler is called."""
        return 1


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
        parameters = super().parameters()
        if self.plan.name != "outlet" and isinstance(parameters["body"], dict):
            parameters["body"]["metadata"] = self.call.needed_request().metadata
        return parameters

    def reply(self, result: Any) -> None:
        """Sends body and metadata apart."""
        if not isinstance(result, dict):
            raise WrongReturn(wrong_return(self.call.slot, self.plan.name, result, "return the body"))
        request = self.call.needed_request()
        metadata = result.get("metadata")
        if isinstance(metadata, dict):
            request.metadata = metadata
        body = {name: value for name, value in result.items() if name != "metadata"}
        try:
            self.link.send(core.REPLY, self.call.id, {"body": body, "metadata": request.metadata})
        except (TypeError, ValueError, RecursionError):
            # Functions also keep things in the metadata that are no JSON. In the body that is an error.
            self._reply_without(request.travelling_metadata(), body)

    def _reply_without(self, metadata: dict[str, Any], body: dict[str, Any]) -> None:
        try:
            self.link.send(core.REPLY, self.call.id, {"body": body, "metadata": metadata})
        except (TypeError, ValueError) as error:
            slot = self.call.slot
            text = f"{slot.function.kind} {slot.function_id}: {self.plan.name} returned no JSON: {error}"
            raise WrongReturn(text) from error


class StreamInvocation(Invocation):
    """`stream`: one call of the handler for each event of the batch."""

    def __init__(self, call: Call, plan: Plan, link: Link) -> None:
        super().__init__(call, plan, link)
        self.events: list[Any] = call.payload.get("events") or []
        self.done: list[Any] = []

    def run(self) -> Any:
        """Calls the handler for one event after the other."""
        prepare(self.call)
        parameters = self.plan.context_parameters(self.call)
        for event in self.events:
            parameters["event"] = event
            self.done.append(self._checked(self.plan.handler(**parameters)))
        return self.done

    async def run_async(self) -> Any:
        """Calls and awaits the handler for one event after the other."""
        prepare(self.call)
        parameters = self.plan.context_parameters(self.call)
        for event in self.events:
            parameters["event"] = event
            self.done.append(self._checked(await self.plan.handler(**parameters)))
        return self.done

    def reply(self, result: Any) -> None:
        """Sends the events, null where one was dropped."""
        self.link.send(core.REPLY, self.call.id, {"events": result})

    def failure(self) -> dict[str, Any]:
        """The events finished before the one that failed."""
        return {"events": self.done}

    @property
    def pieces(self) -> int:
        """How many events there are."""
        return max(len(self.events), 1)

    def _checked(self, event: Any) -> Any:
        if event is None or isinstance(event, dict):
            # An empty event is dropped as well, as in the real product.
            return event or None
        raise WrongReturn(wrong_return(self.call.slot, "stream", event, "return the event, or None to drop it"))


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


async def run_threaded(invocation: Invocation, lane: Lane) -> Any:
    """Runs a sync handler on its lane's thread. If cancelled, a handler that has begun goes on unheard."""
    call = invocation.call
    try:
        return await unless_left_running(lane.submit(call.context, invocation.run))
    except asyncio.CancelledError:
        # The thread may still be inside these context variables: later calls of the request get copies.
        call.request = None
        raise

"""A worker process: frames in, function code run, frames out, on one event loop."""

from __future__ import annotations

import asyncio
import contextvars
import select
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from os import _exit
from threading import get_ident
from typing import Any

import sluicegate_core as core

from sluicegate_worker import confinement, loader, models, output, process
from sluicegate_worker.callbacks import Callbacks
from sluicegate_worker.calls import INVOCATIONS, BatchInvocation, Invocation, Plan, pass_inline, run_inline, run_threaded
from sluicegate_worker.compat.facade import GATEWAY
from sluicegate_worker.context import Call, RequestContext
from sluicegate_worker.failures import Failure, Unknown, describe
from sluicegate_worker.inbox import Frame, give_up, value_of
from sluicegate_worker.lane import STOPWATCH
from sluicegate_worker.link import Link
from sluicegate_worker.loop import has_work, new_loop
from sluicegate_worker.pipelines import Lifecycle
from sluicegate_worker.pipes import PipeCall
from sluicegate_worker.scope import CURRENT, NO_SLOT, Scope
from sluicegate_worker.series import Board, Series
from sluicegate_worker.slots import Slot

HANDLER_NAMES = {
    core.INLET: "inlet",
    core.REQUEST: "request",
    core.STREAM: "stream",
    core.OUTLET: "outlet",
    core.PIPE: "pipe",
    core.ACTION: "action",
}


#: Members of a failure that a function has made, which may be no JSON: the exception's detail, events finished before it.
FUNCTIONS_OWN = ("detail", "events")


class Worker:
    """Slots, requests and calls, and what each frame does to them."""

    def __init__(self, link: Link, out: output.Output, directory: str, board: Board | None = None) -> None:
        self.link = link
        self.output = out
        self.directory = directory
        self.board = board
        self.callbacks = Callbacks(link)
        self.inbox = self.callbacks.inbox
        self.inbox.wake = self.act
        self.inbox.act_now = self._act_now
        self._thread = get_ident()
        GATEWAY.connect(self.callbacks, directory)
        self.slots: dict[int, Slot] = {}
        self.requests: dict[int, RequestContext] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.pipes: dict[int, PipeCall] = {}
        self.calls: dict[int, Call] = {}
        self.starts: set[asyncio.Task[None]] = set()
        self.endings: set[asyncio.Task[None]] = set()
        self._frames: dict[int, Callable[[int, int, Any], None]] = {
            core.LOAD: self._load,
            core.VALVES: self._valves,
            core.FORGET: self._forget,
            core.OPEN: self._open,
            core.CLOSE: self._close,
            core.CALL: self._call,
            core.EVENTS: self._events,
            core.CANCEL: self._cancel,
            core.CREDIT: self._give_credit,
            core.PING: self._ping,
            core.CALLBACK_REPLY: self._callback_reply,
            core.UNLOAD: self._unload,
        }

    def read(self) -> None:
        """Acts on every frame that has arrived, then writes all that came of it."""
        self.inbox.receive()
        self.act()

    def act(self) -> None:
        """Acts on the frames that are there, in order; some may have been read while function code asked something."""
        self.link.hold()
        STOPWATCH.expire()
        kept = self.inbox.kept
        while kept:
            kind, id, _, handler, payload = kept.popleft()
            if payload.__class__ is core.Text:
                payload = value_of(payload)
            try:
                self._frames[kind](id, handler, payload)
            except Exception:
                traceback.print_exc()
        self.link.flush()
        if self.inbox.ended:
            self._leave()

    def _leave(self) -> None:
        self.link.loop.remove_reader(self.link.core.fileno())
        for task in self.tasks.values():
            task.cancel()
        for slot in self.slots.values():
            if slot.life is not None:
                self._end_life(slot, slot.life)
        if self.endings:
            everything = asyncio.gather(*self.endings, return_exceptions=True)
            everything.add_done_callback(lambda _: _exit(0))
            return
        # One turn of the loop delivers the cancellations, the next ends the process.
        self.link.loop.call_soon(self.link.loop.call_soon, _exit, 0)

    # Functions and their valves.

    def _load(self, id: int, _: int, payload: dict[str, Any]) -> None:
        scope = Scope(id)
        try:
            slot = contextvars.copy_context().run(self._make_slot, scope, payload)
            self.slots[id] = slot
            if slot.life is not None:
                self._start_life(slot, slot.life, payload.get("valves"))
        except BaseException as error:
            self._send_failure(core.FAILED, id, describe(error, self.directory))
        self.output.finish(scope)
        self._name_outside()

    def _make_slot(self, scope: Scope, payload: dict[str, Any]) -> Slot:
        CURRENT.set(scope)
        function = loader.load(payload["function_id"], payload["source"], self.directory)
        try:
            slot = Slot(scope.slot_id, function, payload.get("threads") or 1)
            if function.pipeline is None:
                self.link.send(core.READY, scope.slot_id, slot.learnt())
            else:
                slot.life = Lifecycle(function.pipeline, slot.id, slot.store, self.output.finish)
        except BaseException:
            function.unregister()
            raise
        return slot

    # A `Pipeline` is told of its start, of new valves and of its end.

    def _start_life(self, slot: Slot, life: Lifecycle, values: dict[str, Any] | None) -> None:
        async def start() -> None:
            try:
                await life.start(values)
                self.link.send(core.READY, slot.id, slot.learnt())
            except BaseException as error:
                self.slots.pop(slot.id, None)
                slot.unload()
                self._send_failure(core.FAILED, slot.id, describe(error, self.directory))

        self._keep(self.link.loop.create_task(start(), context=self.link.context.copy()))

    def _end_life(self, slot: Slot, life: Lifecycle) -> None:
        async def end() -> None:
            await life.stop()
            slot.unload()

        task = self.link.loop.create_task(end(), context=self.link.context.copy())
        self.endings.add(task)
        task.add_done_callback(self.endings.discard)

    def _keep(self, task: asyncio.Task[None]) -> None:
        # The loop itself holds tasks weakly.
        self.starts.add(task)
        task.add_done_callback(self.starts.discard)

    def _name_outside(self) -> None:
        # Output of plain threads: with one function here there is no doubt whose it is.
        self.output.outside.slot_id = next(iter(self.slots)) if len(self.slots) == 1 else NO_SLOT

    def _valves(self, id: int, _: int, payload: dict[str, Any]) -> None:
        slot = self.slots.get(id)
        if slot is not None and slot.store is not None:
            slot.store.add(payload["version"], payload["values"] or {})
            if slot.life is not None:
                slot.life.valves_changed(payload["values"] or {})

    def _forget(self, id: int, _: int, payload: dict[str, Any]) -> None:
        slot = self.slots.get(id)
        if slot is not None and slot.store is not None:
            slot.store.forget(payload["versions"])

    def _unload(self, id: int, _: int, __: Any) -> None:
        slot = self.slots.pop(id, None)
        if slot is not None and slot.life is not None:
            self._end_life(slot, slot.life)
        elif slot is not None:
            slot.unload()
        self._name_outside()

    # Requests.

    def _open(self, id: int, _: int, opened: core.Opened) -> None:
        slot = self.slots.get(opened.slot)
        if slot is not None:
            self.requests[id] = RequestContext(id, slot, opened, self.link, self.callbacks)
            visible = opened.siblings()
            if visible is not None:
                self._show_siblings(visible)
            self.output.renew()

    def _show_siblings(self, visible: list[int]) -> None:
        """Lets the functions of a group find each other in `sys.modules`, and none that is switched off."""
        for id, slot in self.slots.items():
            if id not in visible:
                slot.function.unregister()
        for id in visible:
            if id in self.slots:
                self.slots[id].function.register()

    def _close(self, id: int, _: int, __: Any) -> None:
        request = self.requests.pop(id, None)
        if request is not None:
            for call in tuple(request.running):
                self._cancel(call, 0, None)
            request.end()

    # Calls.

    def _call(self, id: int, handler: int, payload: dict[str, Any]) -> None:
        if "requests" in payload:
            self._advance(Series(id, handler, payload, self.link, self.board))
            return
        try:
            call = self._make_call(id, handler, payload)
        except Exception as error:
            self._send_failure(core.ERROR, id, describe(error, self.directory))
            return
        self._begin(call, self.link)

    def _events(self, id: int, _: int, batch: core.Batch) -> None:
        try:
            request = self._open_request(batch.request, "stream")
            metadata = batch.metadata()
            if metadata is not None:
                request.take_metadata(metadata)
            events = batch.events(request.templates)
        except Exception as error:
            self._send_failure(core.ERROR, id, describe(error, self.directory))
            return
        slot = request.slot
        plan = slot.plans["stream"]
        call = self.calls[id] = Call(id, core.STREAM, {}, slot, request)
        if plan.is_async or slot.lane.moved:
            self._start(BatchInvocation(call, plan, self.link, batch, events))
            return
        done: list[Any] = []
        try:
            pass_inline(call, plan, events, done)
            self.link.send_events(id, batch, done)
        except BaseException as error:
            self._fail(call, error, {"events": done})
        self._finish(call)

    def _advance(self, series: Series) -> None:
        """Calls one function after the other, up to one that does not end at once."""
        while not series.is_over:
            try:
                call = self._make_call(series.id, series.handler, series.next())
            except (Exception, asyncio.CancelledError) as error:
                self._send_failure(core.ERROR, series.id, {**series.fail(), **describe(error, self.directory)})
                return
            call.series = series
            self._begin(call, series)
            if series.id in self.calls:
                return

    def _begin(self, call: Call, link: Link | Series) -> None:
        handler = call.handler
        self.calls[call.id] = call
        if handler == core.PIPE:
            self._start_pipe(call, call.slot.plans["pipe"])
        elif handler in INVOCATIONS:
            self._start(INVOCATIONS[handler](call, call.plan, link))
        else:
            self._spawn(call, call.context, self._guarded(call, partial(self._ask_model, call)))

    def _make_call(self, id: int, handler: int, payload: dict[str, Any]) -> Call:
        if "request" not in payload:
            return Call(id, handler, payload, self._slot(payload["slot"]), None)
        name = plan_name(handler, payload)
        request = self._open_request(payload["request"], name)
        if "metadata" in payload:
            request.take_metadata(payload["metadata"])
        return Call(id, handler, payload, request.slot, request, request.slot.plans[name])

    def _open_request(self, id: int, plan: str) -> RequestContext:
        request = self.requests.get(id)
        if request is None:
            raise Unknown(f"request {id} is not open")
        if plan not in request.slot.plans:
            raise Unknown(f"function {request.slot.function_id} has no {plan}")
        return request

    def _slot(self, id: int) -> Slot:
        try:
            return self.slots[id]
        except KeyError:
            raise Unknown(f"slot {id} is not loaded") from None

    def _start(self, invocation: Invocation) -> None:
        call, lane = invocation.call, invocation.call.slot.lane
        if invocation.plan.is_async:
            self._spawn(call, call.context, self._invoke(invocation, invocation.run_async))
        elif lane.moved:
            self._spawn(call, self.link.context, self._invoke(invocation, partial(run_threaded, invocation, lane)))
        else:
            try:
                invocation.reply(run_inline(invocation, lane))
            except BaseException as error:
                self._fail(call, error, invocation.failure())
            self._finish(call)

    async def _invoke(self, invocation: Invocation, run: Callable[[], Awaitable[Any]]) -> None:
        call = invocation.call
        try:
            if call.slot.life is not None:
                await call.slot.life.settled()
            invocation.reply(await run())
        except BaseException as error:
            self._fail(call, error, invocation.failure())

    def _start_pipe(self, call: Call, plan: Plan) -> None:
        pipe = PipeCall(call, plan, self.link)
        self.pipes[call.id] = pipe
        self._spawn(call, call.context, self._guarded(call, pipe.run, pipe.failure))

    async def _guarded(
        self,
        call: Call,
        run: Callable[[], Awaitable[None]],
        details: Callable[[], tuple[Failure, int]] = lambda: ({}, 0),
    ) -> None:
        try:
            if call.slot.life is not None:
                await call.slot.life.settled()
            await run()
        except BaseException as error:
            self._fail(call, error, *details())

    def _spawn(self, call: Call, context: contextvars.Context, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.Task(work, loop=self.link.loop, context=context)
        self.tasks[call.id] = task
        if call.request is not None:
            call.request.running.add(call.id)
        task.add_done_callback(partial(self._end_task, call), context=self.link.context)

    def _end_task(self, call: Call, task: asyncio.Task[None]) -> None:
        # Cancelled before it began: nothing in it could answer.
        if task.cancelled():
            self._fail(call, asyncio.CancelledError(), {})
        del self.tasks[call.id]
        self.pipes.pop(call.id, None)
        if call.request is not None:
            call.request.running.discard(call.id)
        self._finish(call)
        if call.series is not None:
            self._advance(call.series)

    def _finish(self, call: Call) -> None:
        if call.partial_lines:
            self.output.finish(call)
        call.finish()
        self.calls.pop(call.id, None)

    def _cancel(self, id: int, _: int, __: Any) -> None:
        call = self.calls.get(id)
        if call is not None and call.series is not None:
            call.series.cancel()
        task = self.tasks.get(id)
        if task is not None:
            task.cancel()

    def _give_credit(self, id: int, _: int, payload: bytes) -> None:
        pipe = self.pipes.get(id)
        if pipe is not None:
            pipe.add_credit(int.from_bytes(payload, "little"))

    async def _ask_model(self, call: Call) -> None:
        """Calls about a function rather than of a request: its models and its valves."""
        CURRENT.set(call)
        self.link.send(core.REPLY, call.id, await models.QUESTIONS[call.handler](call))

    def _act_now(self, frame: Frame) -> bool:
        """Checks valves while function code holds the loop up: that code may have set them, and wait for the check."""
        _, id, _, handler, payload = frame
        slot = self.slots.get(payload["slot"]) if get_ident() == self._thread else None
        if slot is None or slot.life is not None:
            return False
        call = Call(id, handler, payload, slot, None)
        try:
            self.link.send(core.REPLY, id, call.context.run(self._check_valves, call))
        except BaseException as error:
            self._fail(call, error, {})
        self._finish(call)
        return True

    def _check_valves(self, call: Call) -> dict[str, Any]:
        CURRENT.set(call)
        return models.checked_valves(call)

    # Answers.

    def _fail(self, call: Call, error: BaseException, details: Failure, flags: int = 0) -> None:
        done = {} if call.series is None else call.series.fail()
        failure = describe(error, self.directory)
        self._send_failure(core.ERROR, call.id, {**done, **failure, **details}, flags)

    def _send_failure(self, kind: int, id: int, failure: Failure, flags: int = 0) -> None:
        try:
            self.link.send(kind, id, failure, flags)
        except Exception:
            known = {name: value for name, value in failure.items() if name not in FUNCTIONS_OWN}
            self.link.send(kind, id, known, flags)

    def _ping(self, id: int, _: int, __: Any) -> None:
        self.link.send_raw(core.PONG, id, b"")

    def _callback_reply(self, id: int, _: int, payload: dict[str, Any]) -> None:
        self.callbacks.answer(id, payload)


def plan_name(handler: int, payload: dict[str, Any]) -> str:
    """The name of what a call invokes: a tool is named by the call itself."""
    return str(payload.get("name")) if handler == core.TOOL else HANDLER_NAMES.get(handler, "")


def await_orders(connection: core.Core, directory: str, means: confinement.Means) -> None:
    """Confines the process as the gateway's first frame says; the gateway waits for the answer with the next.

    Nothing may run before, not even a thread: what the process gives up, it must give up as a whole.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    frames: list[Any] | None = []
    while not frames:
        poll.poll()
        frames = connection.read()
        if frames is None:
            _exit(0)
    kind, id, _, _, orders = frames[0]
    if kind != core.CONFINE:
        raise RuntimeError(f"the gateway's first frame was of kind {kind}")
    try:
        connection.send(core.REPLY, id, 0, 0, {"protections": confinement.confine(directory, orders, means)})
    except Exception as error:
        connection.send(core.ERROR, id, 0, 0, describe(error, directory))
    connection.flush()
    means.close()


def main(fd: int, directory: str, means: confinement.Means, board: Board | None) -> None:
    """Serves the gateway at the other end of `fd` until it closes the connection."""
    connection = core.Core(fd)
    await_orders(connection, directory, means)
    process.silence_stderr()
    watched = core.watch(fd)
    loop, selector = new_loop()
    asyncio.set_event_loop(loop)
    link = Link(connection, loop)
    worker = Worker(link, output.install(link), process.code_directory(directory), board)
    sockets = (fd, watched, link.core.fileno())
    process.let_forks_go(sockets)
    loop.add_reader(link.core.fileno(), worker.read)
    selector.watch(link.core.fileno(), partial(link.context.run, worker.read), partial(has_work, loop))
    while True:
        try:
            loop.run_forever()
        except Exception:
            # What the loop itself waits with is gone: a function has closed descriptors that are not its own.
            give_up()
        except BaseException:
            # A task or callback of the function's own raised `SystemExit` or its like, which asyncio passes on.
            traceback.print_exc()

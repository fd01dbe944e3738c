"""A worker process: frames in, function code run, frames out, on one event loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import select
import sys
import traceback
from collections.abc import Awaitable, Callable
from os import _exit
from typing import Any, NoReturn

import sluicegate_core as core

from sluicegate_worker import confinement, loader, models, output
from sluicegate_worker.callbacks import Callbacks
from sluicegate_worker.calls import INVOCATIONS, Invocation, Plan, run_inline, run_threaded
from sluicegate_worker.context import Call, RequestContext
from sluicegate_worker.failures import Failure, Unknown, describe
from sluicegate_worker.link import Link
from sluicegate_worker.pipes import FAILED_WHILE_READ, PipeCall
from sluicegate_worker.scope import CURRENT, NO_SLOT, Scope
from sluicegate_worker.slots import Slot

#: Kind, id, flags, handler and payload.
Frame = tuple[int, int, int, int, Any]

HANDLER_NAMES = {
    core.INLET: "inlet",
    core.REQUEST: "request",
    core.STREAM: "stream",
    core.OUTLET: "outlet",
    core.PIPE: "pipe",
    core.ACTION: "action",
}


class Worker:
    """Slots, requests and calls, and what each frame does to them."""

    def __init__(self, link: Link, out: output.Output, directory: str) -> None:
        self.link = link
        self.output = out
        self.directory = directory
        self.callbacks = Callbacks(link)
        self.slots: dict[int, Slot] = {}
        self.requests: dict[int, RequestContext] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.pipes: dict[int, PipeCall] = {}
        self.calls: dict[int, Call] = {}
        self._frames: dict[int, Callable[[int, int, Any], None]] = {
            core.LOAD: self._load,
            core.VALVES: self._valves,
            core.FORGET: self._forget,
            core.OPEN: self._open,
            core.CLOSE: self._close,
            core.CALL: self._call,
            core.CANCEL: self._cancel,
            core.CREDIT: self._give_credit,
            core.PING: self._ping,
            core.CALLBACK_REPLY: self._callback_reply,
            core.UNLOAD: self._unload,
        }

    def read(self) -> None:
        """Acts on every frame that has arrived, then writes all that came of it."""
        try:
            frames = self.link.core.read()
        except Exception:
            # What arrived is not our protocol, so nothing after it can be understood.
            give_up()
        if frames is None:
            self._leave()
            return
        self.take(frames)

    def take(self, frames: list[Frame]) -> None:
        """Acts on frames, then writes all that came of them."""
        self.link.hold()
        for kind, id, _, handler, payload in frames:
            try:
                self._frames[kind](id, handler, payload)
            except Exception:
                traceback.print_exc()
        self.link.flush()

    def _leave(self) -> None:
        self.link.loop.remove_reader(self.link.core.fileno())
        for task in self.tasks.values():
            task.cancel()
        # One turn of the loop delivers the cancellations, the next ends the process.
        self.link.loop.call_soon(self.link.loop.call_soon, _exit, 0)

    # Functions and their valves.

    def _load(self, id: int, _: int, payload: dict[str, Any]) -> None:
        scope = Scope(id)
        try:
            self.slots[id] = contextvars.copy_context().run(self._make_slot, scope, payload)
        except BaseException as error:
            self._send_failure(core.FAILED, id, describe(error, self.directory))
        self.output.finish(scope)
        self._name_outside()

    def _make_slot(self, scope: Scope, payload: dict[str, Any]) -> Slot:
        CURRENT.set(scope)
        function = loader.load(payload["function_id"], payload["source"], self.directory)
        try:
            slot = Slot(scope.slot_id, function, payload.get("threads") or 1)
            self.link.send(core.READY, scope.slot_id, slot.learnt())
        except BaseException:
            function.unregister()
            raise
        return slot

    def _name_outside(self) -> None:
        # Output of plain threads: with one function here there is no doubt whose it is.
        self.output.outside.slot_id = next(iter(self.slots)) if len(self.slots) == 1 else NO_SLOT

    def _valves(self, id: int, _: int, payload: dict[str, Any]) -> None:
        slot = self.slots.get(id)
        if slot is not None and slot.store is not None:
            slot.store.add(payload["version"], payload["values"] or {})

    def _forget(self, id: int, _: int, payload: dict[str, Any]) -> None:
        slot = self.slots.get(id)
        if slot is not None and slot.store is not None:
            slot.store.forget(payload["versions"])

    def _unload(self, id: int, _: int, __: Any) -> None:
        slot = self.slots.pop(id, None)
        if slot is not None:
            slot.unload()
        self._name_outside()

    # Requests.

    def _open(self, id: int, _: int, payload: dict[str, Any]) -> None:
        slot = self.slots.get(payload["slot"])
        if slot is not None:
            self.requests[id] = RequestContext(id, slot, payload, self.link, self.callbacks)
            self.output.renew()

    def _close(self, id: int, _: int, __: Any) -> None:
        request = self.requests.pop(id, None)
        for call in list(self.calls.values()):
            if request is not None and call.request is request:
                self._cancel(call.id, 0, None)

    # Calls.

    def _call(self, id: int, handler: int, payload: dict[str, Any]) -> None:
        try:
            call = self._make_call(id, handler, payload)
        except Exception as error:
            self._send_failure(core.ERROR, id, describe(error, self.directory))
            return
        self.calls[id] = call
        if handler == core.PIPE:
            self._start_pipe(call, call.slot.plans["pipe"])
        elif handler in INVOCATIONS:
            plan = call.slot.plans[HANDLER_NAMES[handler]]
            self._start(INVOCATIONS[handler](call, plan, self.link))
        else:
            self._spawn(call, call.context, lambda: self._ask_model(call), lambda: ({}, 0))

    def _make_call(self, id: int, handler: int, payload: dict[str, Any]) -> Call:
        if "request" not in payload:
            return Call(id, handler, payload, self._slot(payload["slot"]), None)
        request = self.requests.get(payload["request"])
        if request is None:
            raise Unknown(f"request {payload['request']} is not open")
        name = HANDLER_NAMES.get(handler)
        if name not in request.slot.plans:
            raise Unknown(f"function {request.slot.function_id} has no {name}")
        if "metadata" in payload:
            request.take_metadata(payload["metadata"])
        return Call(id, handler, payload, request.slot, request)

    def _slot(self, id: int) -> Slot:
        try:
            return self.slots[id]
        except KeyError:
            raise Unknown(f"slot {id} is not loaded") from None

    def _start(self, invocation: Invocation) -> None:
        call, lane = invocation.call, invocation.call.slot.lane
        if invocation.plan.is_async:
            self._spawn_invocation(invocation, call.context, invocation.run_async)
        elif lane.moved:
            self._spawn_invocation(invocation, self.link.context, lambda: run_threaded(invocation, lane))
        else:
            try:
                invocation.reply(run_inline(invocation, lane))
            except BaseException as error:
                self._fail(call, error, invocation.failure())
            self._finish(call)

    def _spawn_invocation(
        self, invocation: Invocation, context: contextvars.Context, run: Callable[[], Awaitable[Any]]
    ) -> None:
        async def answer() -> None:
            invocation.reply(await run())

        self._spawn(invocation.call, context, answer, lambda: (invocation.failure(), 0))

    def _start_pipe(self, call: Call, plan: Plan) -> None:
        pipe = PipeCall(call, plan, self.link)
        self.pipes[call.id] = pipe
        self._spawn(call, call.context, pipe.run, lambda: ({}, FAILED_WHILE_READ if pipe.is_read else 0))

    def _spawn(
        self,
        call: Call,
        context: contextvars.Context,
        run: Callable[[], Awaitable[None]],
        details: Callable[[], tuple[Failure, int]],
    ) -> None:
        async def guarded() -> None:
            try:
                await run()
            except BaseException as error:
                self._fail(call, error, *details())

        task = self.link.loop.create_task(guarded(), context=context)
        self.tasks[call.id] = task
        task.add_done_callback(lambda task: self._end_task(call, task), context=self.link.context)

    def _end_task(self, call: Call, task: asyncio.Task[None]) -> None:
        # Cancelled before it began: nothing in it could answer.
        if task.cancelled():
            self._fail(call, asyncio.CancelledError(), {})
        self._finish(call)

    def _finish(self, call: Call) -> None:
        self.output.finish(call)
        call.finish()
        self.calls.pop(call.id, None)
        self.tasks.pop(call.id, None)
        self.pipes.pop(call.id, None)

    def _cancel(self, id: int, _: int, __: Any) -> None:
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

    # Answers.

    def _fail(self, call: Call, error: BaseException, details: Failure, flags: int = 0) -> None:
        failure = describe(error, self.directory)
        self._send_failure(core.ERROR, call.id, {**failure, **details}, flags)

    def _send_failure(self, kind: int, id: int, failure: Failure, flags: int = 0) -> None:
        try:
            self.link.send(kind, id, failure, flags)
        except Exception:
            # The exception's detail, or an event finished before it, is no JSON.
            known = {name: failure[name] for name in ("type", "message", "status", "traceback") if name in failure}
            self.link.send(kind, id, known, flags)

    def _ping(self, id: int, _: int, __: Any) -> None:
        self.link.send_raw(core.PONG, id, b"")

    def _callback_reply(self, id: int, _: int, payload: dict[str, Any]) -> None:
        self.callbacks.answer(id, payload)


def give_up() -> NoReturn:
    """Ends the process where it cannot go on; the gateway's log has the reason."""
    traceback.print_exc(file=sys.__stderr__)
    _exit(1)


def await_orders(connection: core.Core, directory: str) -> list[Frame]:
    """Confines the process as the gateway's first frame says; returns the frames that came with it.

    Nothing may run before, not even a thread: what the process gives up, it must give up as a whole.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    frames: list[Frame] | None = []
    while not frames:
        poll.poll()
        frames = connection.read()
        if frames is None:
            _exit(0)
    kind, id, _, _, orders = frames[0]
    if kind != core.CONFINE:
        raise RuntimeError(f"the gateway's first frame was of kind {kind}")
    try:
        connection.send(core.REPLY, id, 0, 0, {"protections": confinement.confine(directory, orders)})
    except Exception as error:
        connection.send(core.ERROR, id, 0, 0, describe(error, directory))
    connection.flush()
    return frames[1:]


def main(fd: int, directory: str) -> None:
    """Serves the gateway at the other end of `fd` until it closes the connection."""
    connection = core.Core(fd)
    frames = await_orders(connection, directory)
    silence_stderr()
    core.watch(fd)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    link = Link(connection, loop)
    worker = Worker(link, output.install(link), code_directory(directory))
    worker.take(frames)
    loop.add_reader(link.core.fileno(), worker.read)
    while True:
        try:
            loop.run_forever()
        except Exception:
            # What the loop itself waits with is gone: a function has closed descriptors that are not its own.
            give_up()
        except BaseException:
            # A task or callback of the function's own raised `SystemExit` or its like, which asyncio passes on.
            traceback.print_exc()


def code_directory(directory: str) -> str:
    """Where the sources of functions are kept."""
    code = os.path.join(directory, "code")
    os.mkdir(code, 0o700)
    return code


def silence_stderr() -> None:
    """Lets descriptor 2 lead nowhere: a function that writes there past Python's streams is not to busy the gateway."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)

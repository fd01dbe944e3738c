"""Where sync code runs: on the loop's thread, or on one of its own once it has been slow."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import Any

import sluicegate_core as core

#: Sync code that takes longer moves to a thread of its own, for its next calls.
SLOW_SECONDS = 0.002

#: How long a burst of calls may go on before what the thread has used is looked at again.
BURST_SECONDS = 0.000_2

#: How long a cancelled piece on a thread may take to end before the gateway is told that it goes on.
PIECE_SECONDS = 0.5


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

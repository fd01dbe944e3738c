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
        #: Whether sync code runs on threads of its own.
        self.moved = False
        if threads > 1 or runs_loops:
            self._move()

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
            self.moved = True


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
        return perf_counter() - self._collected

    def expire(self) -> None:
        """A burst begins: the thread has waited since the last."""
        self._expires = 0.0

    def start_in_burst(self) -> float:
        """As `start`, for pieces with nothing but our own code between them."""
        now = perf_counter() - self._collected
        if now > self._expires:
            now = self.start()
            self._expires = now + BURST_SECONDS
        return now

    def is_slow(self, began: float, pieces: int) -> bool:
        """Whether the thread has waited or computed for long in so many pieces, the first of which began then."""
        if perf_counter() - self._collected - began <= SLOW_SECONDS * pieces:
            return False
        computed, waits = self._usage()
        self.expire()
        return waits > self._waits or computed - self._computed > SLOW_SECONDS

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


async def outcome(piece: Future[Any]) -> Any:
    """The result of a piece on a thread. One that has begun cannot be cancelled: the call then ends with it, not before.

    Until then the gateway knows that the thread is taken, and ends the process once that has lasted too long.
    """
    try:
        return await asyncio.wrap_future(piece)
    except asyncio.CancelledError:
        await ended(piece)
        raise


async def ended(piece: Future[Any]) -> None:
    """Waits for a piece that cannot be cancelled to end by itself; cancellations change nothing."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    piece.add_done_callback(lambda _: loop.call_soon_threadsafe(over.set))
    while not over.is_set():
        with contextlib.suppress(asyncio.CancelledError):
            await over.wait()


class SyncSteps:
    """Pieces of sync code that belong to one task: inline, or on the lane's thread once that is slow."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._thread_context: contextvars.Context | None = None

    async def run(self, step: Callable[[], Any]) -> Any:
        """Runs one piece and gives its result."""
        if not self._lane.moved:
            began = STOPWATCH.start()
            try:
                return step()
            finally:
                self._lane.note(began)
        return await outcome(self._lane.submit(self._context(), step))

    async def run_last(self, step: Callable[[], Any]) -> None:
        """Runs a piece whose result nobody waits for, also if those before it were cancelled."""
        if self._lane.moved:
            await ended(self._lane.submit(self._context(), step))
        else:
            step()

    def _context(self) -> contextvars.Context:
        # The task is inside its own context variables, which a thread cannot enter as well.
        if self._thread_context is None:
            self._thread_context = contextvars.copy_context()
        return self._thread_context

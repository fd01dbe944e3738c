"""The worker's event loop: asyncio's, which acts on frames as soon as it sees them while it has nothing else to do."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from selectors import EpollSelector, SelectorKey


class FrameSelector(EpollSelector):
    """Waits as any selector does, but tells of the gateway's socket by a call.

    A turn of the loop costs more than a short call of a function. Where frames are all that happens, none is taken: they
    are acted on here, with the loop running and between two of its callbacks, as a callback of its own would be.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoll: select.epoll = self._selector  # type: ignore[attr-defined]
        self._descriptor = -1
        self._act: Callable[[], None] = lambda: None
        self._has_work: Callable[[], bool] = lambda: True

    def watch(self, descriptor: int, act: Callable[[], None], has_work: Callable[[], bool]) -> None:
        """Calls `act` when `descriptor` can be read, until the loop `has_work` after it."""
        self._descriptor, self._act, self._has_work = descriptor, act, has_work

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Waits until something else happens, or for `timeout` seconds."""
        if timeout is None:
            while self._is_ours(self._epoll.poll()):
                self._act()
                if self._has_work():
                    return []
            timeout = 0
        return super().select(timeout)

    def _is_ours(self, events: list[tuple[int, int]]) -> bool:
        return len(events) == 1 and events[0] == (self._descriptor, select.EPOLLIN)


def new_loop() -> tuple[asyncio.SelectorEventLoop, FrameSelector]:
    """A loop, and what it waits with."""
    selector = FrameSelector()
    return asyncio.SelectorEventLoop(selector), selector


def has_work(loop: asyncio.SelectorEventLoop) -> bool:
    """Whether the loop has callbacks to run, now or later."""
    return bool(loop._ready or loop._scheduled)  # type: ignore[attr-defined]

"""Frames from the gateway in the order they came, until the loop acts on them."""

from __future__ import annotations

import select
import sys
import traceback
from collections import deque
from collections.abc import Callable
from os import _exit
from threading import RLock
from time import monotonic
from typing import Any, NoReturn

import sluicegate_core as core

from sluicegate_worker.link import Link

#: Seconds after which one who waits looks whether another thread has read the answer, or cannot.
LOOK_SECONDS = 0.1

#: Kind, id, flags, handler, payload.
Frame = tuple[int, int, int, int, Any]


class Inbox:
    """Reads the socket: on the loop's thread as a rule, on any thread while function code holds that one up."""

    def __init__(self, link: Link, answer: Callable[[int, dict[str, Any]], None]) -> None:
        self.ended = False
        #: Has the loop act on frames that were read elsewhere; set by who does.
        self.wake: Callable[[], None] = lambda: None
        #: Acts on a frame that the one who waits may be waiting for, and says whether it did; set by who does.
        self.act_now: Callable[[Frame], bool] = lambda _: False
        self._link = link
        self._answer = answer
        #: Frames that nobody has acted on, the oldest first. Calls among them are to be parsed in their turn.
        self.kept: deque[Frame] = deque()
        # Reading and keeping are one step, or frames read on two threads could change places.
        self._lock = RLock()

    def receive(self) -> None:
        """Keeps everything that has arrived."""
        with self._lock:
            self.kept.extend(self._read())

    def help(self) -> None:
        """Does what cannot wait for the loop: hands answers out and answers pings. The rest is kept for the loop."""
        with self._lock:
            kept = len(self.kept)
            for frame in self._read():
                self._sort(frame)
            news = self.ended or len(self.kept) > kept
        self._link.write_now()
        if news:
            self._link.loop.call_soon_threadsafe(self.wake, context=self._link.context)

    def wait(self, is_over: Callable[[], bool], deadline: float) -> bool:
        """Blocks the thread, writing and reading meanwhile; false if the deadline passes or the gateway has gone."""
        poll = select.poll()
        descriptor = self._link.core.fileno()
        while not is_over() and not self.ended:
            room = 0 if self._link.write_now() else select.POLLOUT
            poll.register(descriptor, select.POLLIN | room)
            left = deadline - monotonic()
            if left <= 0:
                return False
            # In pieces, because the loop's thread or another may read our answer.
            if poll.poll(min(left, LOOK_SECONDS) * 1000):
                self.help()
        return is_over()

    def _sort(self, frame: Frame) -> None:
        kind, id, _, handler, payload = frame
        if kind == core.CALLBACK_REPLY:
            self._answer(id, payload)
        elif kind == core.PING:
            self._link.send_raw(core.PONG, id, b"")
        elif handler != core.CHECK_VALVES or not self.act_now((kind, id, 0, handler, value_of(payload))):
            self.kept.append(frame)

    def _read(self) -> list[Frame]:
        try:
            frames = self._link.core.read()
        except Exception:
            # What arrived is not our protocol, so nothing after it can be understood.
            give_up()
        if frames is None:
            self.ended = True
            return []
        return frames


def value_of(text: core.Text) -> Any:
    """What the payload of a call stands for."""
    try:
        return text.value()
    except Exception:
        give_up()


def give_up() -> NoReturn:
    """Ends the process where it cannot go on; the gateway's log has the reason."""
    traceback.print_exc(file=sys.__stderr__)
    _exit(1)

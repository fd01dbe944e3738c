"""Calls of several functions in one frame, one after the other: what one gives back is what the next is given.

Between two of them everything is JSON, as it is between processes: no function sees objects that another one keeps.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
from time import monotonic_ns, perf_counter
from typing import Any

import sluicegate_core as core

from sluicegate_worker.link import Link

#: A place on the board: since when a function runs, in nanoseconds, the call's id, and which of its functions it is. The
#: time is written first: who reads in between takes the one before for younger than it is, and looks again.
PLACE = struct.Struct("=QII")

#: Calls that have a place of their own at one time. The gateway knows this number too (`src/host/board.rs`).
PLACES = 4096

BOARD_BYTES = PLACE.size * PLACES

#: Beyond so many bytes of results the answer leaves: all of them together must fit into one frame.
FULL_BYTES = 1024 * 1024


class Board:
    """Memory that the gateway reads when a function hangs or has ended the process, to learn which one it was."""

    def __init__(self, descriptor: int) -> None:
        # It keeps a copy of the descriptor, which the worker closes with all others and nobody needs again.
        self._memory = mmap.mmap(descriptor, BOARD_BYTES)

    def note(self, call: int, index: int) -> None:
        """One of the call's functions begins."""
        PLACE.pack_into(self._memory, call % PLACES * PLACE.size, monotonic_ns(), call, index)


class Series:
    """One call of several functions. It takes the answer of each in the place of the link, and sends those of all."""

    def __init__(self, id: int, handler: int, payload: dict[str, Any], link: Link, board: Board | None) -> None:
        self.id = id
        self.handler = handler
        self.is_over = False
        self._link = link
        self._board = board
        self._requests: list[int] = payload["requests"]
        self._observes = bool(payload.get("observes"))
        self._subject = "events" if handler == core.STREAM else "body"
        self._parsed: Any = payload[self._subject]
        self._value: bytes = core.dumps(self._parsed)
        self._is_news = "metadata" in payload
        self._metadata: bytes | None = core.dumps(payload["metadata"]) if self._is_news else None
        #: How long the functions took that are done, and what they changed, as members of the answer.
        self._seconds: list[bytes] = []
        self._members: list[bytes] = []
        self._length = 0
        self._began = 0.0
        self._is_cancelled = False

    def next(self) -> dict[str, Any]:
        """What the next function is called with."""
        if self._is_cancelled:
            raise asyncio.CancelledError
        index = len(self._seconds)
        if index > 0 and self._board is not None:
            self._board.note(self.id, index)
        payload = {"request": self._requests[index], self._subject: self._take_parsed()}
        if self._is_news and self._metadata is not None:
            payload["metadata"] = core.loads(self._metadata)
        self._began = perf_counter()
        return payload

    def send(self, _: int, __: int, payload: Any, ___: int = 0) -> int:
        """Takes what a function gave back, and gives its length; raises if that cannot be said in JSON."""
        # Nested deeper than the gateway reads, it is the failure of the function that made it.
        return self._take(core.dumps(payload[self._subject], ours=1 if self.handler == core.STREAM else 0), None)

    def send_body(self, _: int, body: dict[str, Any], metadata: dict[str, Any] | None) -> int:
        """The same for a body, with the metadata if the function changed it."""
        value = core.dumps({name: value for name, value in body.items() if name != "metadata"}, ours=0)
        return self._take(value, None if metadata is None else core.dumps(metadata, ours=0))

    def _take(self, value: bytes, metadata: bytes | None) -> int:
        passed_on, parsed = self._passed_on(value)
        if value != self._value:
            self._add(self._subject, value)
        if metadata is not None and metadata != self._metadata:
            self._add("metadata", metadata)
            self._metadata, self._is_news = metadata, True
        self._value, self._parsed = passed_on, parsed
        self._seconds.append(b"%.6f" % (perf_counter() - self._began))
        if len(self._seconds) == len(self._requests) or self._value == b"[]" or self._length > FULL_BYTES:
            self.is_over = True
            self._link.send_raw(core.REPLY, self.id, self._answer())
        return len(value)

    def cancel(self) -> None:
        """Calls no other function."""
        self._is_cancelled = True

    def fail(self) -> dict[str, Any]:
        """Ends it with the function that runs; what an `Error` frame carries of those before."""
        self.is_over = True
        done: dict[str, Any] = core.loads(self._answer())
        return done

    def _passed_on(self, value: bytes) -> tuple[bytes, Any]:
        """What the next function is given after `value`, and the same parsed, if it is not what this one was given."""
        if self._observes or value == self._value:
            return self._value, None
        if len(self._seconds) + 1 == len(self._requests):
            return value, None
        parsed = core.loads(value)
        if self.handler == core.STREAM and None in parsed:
            parsed = [event for event in parsed if event is not None]
            value = core.dumps(parsed)
        return value, parsed

    def _take_parsed(self) -> Any:
        parsed, self._parsed = self._parsed, None
        return core.loads(self._value) if parsed is None else parsed

    def _add(self, name: str, value: bytes) -> None:
        self._members.append(b'"%s.%d":%s' % (name.encode(), len(self._seconds), value))
        self._length += len(value)

    def _answer(self) -> bytes:
        seconds = b'"seconds":[' + b",".join(self._seconds) + b"]"
        return b"{" + b",".join([seconds, *self._members]) + b"}"

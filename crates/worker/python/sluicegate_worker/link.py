"""The worker's side of the connection: frames to the gateway, written in batches."""

import asyncio
import contextvars
from os import _exit
from threading import get_ident
from typing import Any

import sluicegate_core


class Link:
    """Sends from any thread; writes on the loop's thread, once per turn of the loop, unless someone cannot wait."""

    def __init__(self, core: sluicegate_core.Core, loop: asyncio.AbstractEventLoop) -> None:
        self.core = core
        self.loop = loop
        self._thread = get_ident()
        # Callbacks of ours run in a context of their own, not in that of the request that caused them.
        self.context = contextvars.copy_context()
        self._flush_planned = False
        self._waiting_for_room = False

    def send(self, kind: int, id: int, payload: object, flags: int = 0) -> int:
        """Sends a frame with `payload` as JSON, and gives its length; raises if that cannot be said in JSON."""
        length = self.core.send(kind, id, flags, 0, payload)
        if not self._flush_planned:
            self._plan_flush()
        return length

    def send_body(self, id: int, body: dict[str, Any], metadata: dict[str, Any] | None) -> int:
        """Answers a hook with its body, and with the metadata if that is news; gives the length, and raises as `send`."""
        length = self.core.send_body(id, body, metadata)
        if not self._flush_planned:
            self._plan_flush()
        return length

    def send_events(self, id: int, batch: sluicegate_core.Batch, made: list[Any]) -> int:
        """Answers a batch with what was made of its events; gives the length, and raises as `send`."""
        length = self.core.send_events(id, batch, made)
        if not self._flush_planned:
            self._plan_flush()
        return length

    def send_raw(self, kind: int, id: int, payload: str | bytes, flags: int = 0) -> int:
        """Sends a frame with these very bytes, or this text as UTF-8, and gives its length."""
        length = self.core.send_raw(kind, id, flags, 0, payload)
        if not self._flush_planned:
            self._plan_flush()
        return length

    def hold(self) -> None:
        """Collects what is sent until `flush` is called, which the caller promises to do."""
        self._flush_planned = True

    def flush(self) -> None:
        """Writes what is queued, now or as soon as the socket has room."""
        self._flush_planned = False
        if self._waiting_for_room:
            return
        if not self._write():
            self._waiting_for_room = True
            self.loop.add_writer(self.core.fileno(), self._resume)

    def write_now(self) -> bool:
        """Writes what is queued from any thread, without the loop; false if the socket has no room for all of it."""
        if self._write():
            return True
        self.loop.call_soon_threadsafe(self.flush, context=self.context)
        return False

    def _plan_flush(self) -> None:
        self._flush_planned = True
        if get_ident() == self._thread:
            self.loop.call_soon(self.flush, context=self.context)
        else:
            self.loop.call_soon_threadsafe(self.flush, context=self.context)

    def _resume(self) -> None:
        if self._write():
            self.loop.remove_writer(self.core.fileno())
            self._waiting_for_room = False

    def _write(self) -> bool:
        try:
            return self.core.flush()
        except (BrokenPipeError, ConnectionResetError):
            # The gateway has gone. The worker reads that too, and ends once its functions were told.
            return True
        except OSError:
            # Nobody reads any more, so nobody waits for an answer.
            _exit(0)

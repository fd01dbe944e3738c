"""What functions ask the gateway for, by `Callback` frames."""

from __future__ import annotations

import asyncio
import itertools
from concurrent.futures import Future
from threading import get_ident
from time import monotonic
from typing import Any

import sluicegate_core as core

from sluicegate_worker.inbox import LOOK_SECONDS, Inbox
from sluicegate_worker.link import Link

#: Seconds a thread may stand still for an answer.
SYNC_SECONDS = 30.0


class Callbacks:
    """Questions that wait for their answers."""

    def __init__(self, link: Link) -> None:
        self.inbox = Inbox(link, self.answer)
        self._link = link
        self._thread = get_ident()
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}

    async def ask(self, request_id: int | None, method: str, arguments: dict[str, Any]) -> Any:
        """Asks and waits for the answer, from any thread's event loop."""
        id, answer = self._send(request_id, method, arguments)
        try:
            waiting = asyncio.wrap_future(answer)
            if get_ident() != self._thread:
                self._link.write_now()
                while not (await asyncio.wait({waiting}, timeout=LOOK_SECONDS))[0]:
                    self.inbox.help()
            return await waiting
        finally:
            self._end(id, answer)

    def ask_sync(self, request_id: int | None, method: str, arguments: dict[str, Any]) -> Any:
        """Asks and holds the thread up until the answer is there, on the loop's thread as on any other.

        No other code of a function runs on the thread meanwhile: frames that arrive are kept for the loop.
        """
        id, answer = self._send(request_id, method, arguments)
        deadline = monotonic() + SYNC_SECONDS
        try:
            if get_ident() == self._thread:
                self.inbox.wait(answer.done, deadline)
            else:
                self._wait_beside(answer, deadline)
            if not answer.done():
                raise refused_silence(method, self.inbox.ended)
            return answer.result()
        finally:
            self._end(id, answer)

    def answer(self, id: int, reply: dict[str, Any]) -> None:
        """Hands an answer to the one who waits for it, if it still does; on any thread."""
        waiting = self._waiting.get(id)
        if waiting is None or waiting.done() or not waiting.set_running_or_notify_cancel():
            return
        if "error" in reply:
            waiting.set_exception(refusal(reply["error"]))
        else:
            waiting.set_result(reply.get("result"))

    def _send(self, request_id: int | None, method: str, arguments: dict[str, Any]) -> tuple[int, Future[Any]]:
        id = next(self._ids) & 0xFFFF_FFFF
        answer: Future[Any] = Future()
        self._waiting[id] = answer
        try:
            self._link.send(core.CALLBACK, id, {"request": request_id, "method": method, "arguments": arguments})
        except BaseException:
            del self._waiting[id]
            raise
        return id, answer

    def _end(self, id: int, answer: Future[Any]) -> None:
        del self._waiting[id]
        if answer.cancelled() or not answer.done():
            self._link.send_raw(core.CALLBACK, id, b"", core.GIVEN_UP)

    def _wait_beside(self, answer: Future[Any], deadline: float) -> None:
        # As a rule the loop brings the answer. It cannot while its thread waits for this one.
        self._link.write_now()
        while not answer.done() and monotonic() < deadline and not self.inbox.ended:
            try:
                answer.exception(timeout=LOOK_SECONDS)
            except TimeoutError:
                self.inbox.help()


class Refusal(Exception):
    """The gateway's failure to do what was asked."""

    def __init__(self, status_code: int | None, detail: Any) -> None:
        super().__init__(detail if status_code is None else f"{status_code}: {detail}")
        self.detail = detail
        if status_code is not None:
            self.status_code = status_code


def refused_silence(method: str, is_gone: bool) -> Exception:
    """The exception for an answer that does not come."""
    if is_gone:
        return Refusal(None, f"`{method}` was asked of a gateway that is shutting down")
    return TimeoutError(f"the gateway did not answer `{method}` within {SYNC_SECONDS:.0f} s")


def refusal(failure: dict[str, Any]) -> Exception:
    """The exception for a failure: FastAPI's own where it is installed, since functions catch that."""
    status = failure.get("status")
    detail = failure.get("detail", failure.get("message"))
    if status is None:
        return Refusal(None, failure.get("message"))
    try:
        from fastapi import HTTPException
    except ImportError:
        return Refusal(status, detail)
    return HTTPException(status_code=status, detail=detail)

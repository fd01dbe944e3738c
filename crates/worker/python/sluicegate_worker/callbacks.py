"""What functions ask the gateway for, by `Callback` frames."""

from __future__ import annotations

import asyncio
import itertools
from threading import get_ident
from typing import Any

import sluicegate_core as core

from sluicegate_worker.link import Link


class Callbacks:
    """Questions that wait for their answers."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._thread = get_ident()
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def ask(self, request_id: int, method: str, arguments: dict[str, Any]) -> Any:
        """Asks and waits for the answer, from any thread's event loop."""
        if get_ident() == self._thread:
            return await self._ask(request_id, method, arguments)
        question = self._ask(request_id, method, arguments)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(question, self._link.loop))

    def answer(self, id: int, reply: dict[str, Any]) -> None:
        """Hands an answer to the one who waits for it, if it still does."""
        waiting = self._waiting.get(id)
        if waiting is None or waiting.done():
            return
        if "error" in reply:
            waiting.set_exception(refusal(reply["error"]))
        else:
            waiting.set_result(reply.get("result"))

    async def _ask(self, request_id: int, method: str, arguments: dict[str, Any]) -> Any:
        id = next(self._ids) & 0xFFFF_FFFF
        waiting = self._link.loop.create_future()
        self._waiting[id] = waiting
        question = {"request": request_id, "method": method, "arguments": arguments}
        try:
            self._link.send(core.CALLBACK, id, question)
            return await waiting
        finally:
            del self._waiting[id]


class Refusal(Exception):
    """The gateway's failure to do what was asked."""

    def __init__(self, status_code: int | None, detail: Any) -> None:
        super().__init__(detail if status_code is None else f"{status_code}: {detail}")
        self.detail = detail
        if status_code is not None:
            self.status_code = status_code


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

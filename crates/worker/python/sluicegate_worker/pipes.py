"""What a pipe returns or yields, as chunks of a stream or as one reply."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator
from typing import Any

import sluicegate_core as core

from sluicegate_worker.calls import Plan, prepare
from sluicegate_worker.context import Call
from sluicegate_worker.lane import SyncSteps
from sluicegate_worker.link import Link
from sluicegate_worker.results import is_response

#: Flag of an `End` frame: the stream ends as it is, without a finish chunk.
END_AS_IS = 1

#: Flag of an `Error` frame: the pipe had returned, and its generator or response failed.
FAILED_WHILE_READ = 1

_END = object()

Chunk = tuple[int, Any]


class PipeCall:
    """One call of a pipe. It runs in a task; `credit` and the task's cancellation come from outside."""

    def __init__(self, call: Call, plan: Plan, link: Link) -> None:
        self.call = call
        self.plan = plan
        self.link = link
        self.steps = SyncSteps(call.slot.lane)
        self.is_read = False
        self._credit: int = core.INITIAL_CREDIT
        self._more_credit: asyncio.Event = asyncio.Event()

    def failure(self) -> tuple[dict[str, Any], int]:
        """What goes beside a failure: nothing, and a flag once the pipe has returned."""
        return {}, FAILED_WHILE_READ if self.is_read else 0

    def add_credit(self, credit: int) -> None:
        """The gateway takes more chunks."""
        self._credit += credit
        self._more_credit.set()

    async def run(self) -> None:
        """Calls the pipe and sends all it gives."""
        prepare(self.call)
        result = await self._call_handler()
        self.is_read = True
        if is_response(result):
            await self._send_response(result)
        elif self.call.payload.get("stream"):
            await self._send_stream(result)
        else:
            await self._send_whole(result)

    async def _call_handler(self) -> Any:
        parameters = self.plan.context_parameters(self.call)
        parameters["body"] = self.call.payload.get("body")
        if self.plan.is_async:
            return await self.plan.handler(**parameters)
        result = await self.steps.run(lambda: self.plan.handler(**parameters))
        return await result if inspect.isawaitable(result) else result

    async def _items(self, result: Any) -> AsyncGenerator[Any, None]:
        """The items of anything that can be iterated, which is closed in any case."""
        if hasattr(result, "__aiter__"):
            iterator = aiter(result)
            try:
                async for item in iterator:
                    yield item
            finally:
                await close_async(iterator)
            return
        iterator = iter(result)
        is_over = False
        try:
            while (item := await self.steps.run(lambda: next(iterator, _END))) is not _END:
                yield item
            is_over = True
        finally:
            # A generator that has ended is closed: no need to wait for the thread, which may be another's for long.
            if not (is_over and inspect.isgenerator(iterator)):
                await self.steps.run_last(lambda: close_sync(iterator))

    # The three forms of an answer.

    async def _send_whole(self, result: Any) -> None:
        if is_iterable(result):
            reply: dict[str, Any] = {"text": await self._joined(result)}
        elif result is None or result == "":
            text = self._emitted_text()
            reply = {"text": text} if text or result == "" else {"none": True}
        elif isinstance(result, str):
            reply = {"text": result}
        elif is_object(result):
            reply = {"data": result}
        else:
            reply = {"none": True}
        self.link.send(core.REPLY, self.call.id, reply)

    async def _joined(self, result: Any) -> str:
        pieces = []
        items = self._items(result)
        try:
            async for item in items:
                pieces.append(str(item))
                await asyncio.sleep(0)
        finally:
            await items.aclose()
        return "".join(pieces) or (self._emitted_text() if not pieces else "")

    async def _send_stream(self, result: Any) -> None:
        flags = 0
        if is_iterable(result):
            await self._send_items(result)
        elif result is None or result == "":
            text = self._emitted_text()
            if text or result == "":
                await self._send_chunk((core.ITEM_TEXT, text))
        elif isinstance(result, str):
            await self._send_chunk((core.ITEM_TEXT, result))
        elif is_object(result):
            await self._send_chunk((core.ITEM_DATA, result))
            flags = END_AS_IS if isinstance(result, dict) else 0
        self._end(flags)

    async def _send_items(self, result: Any) -> None:
        items = self._items(result)
        sent = 0
        try:
            async for item in items:
                await self._send_chunk(chunk_of(item))
                sent += 1
                # The chunk leaves, and others have their turn, before the generator goes on.
                await asyncio.sleep(0)
        finally:
            await items.aclose()
        if sent == 0 and self._emitted_text():
            await self._send_chunk((core.ITEM_TEXT, self._emitted_text()))

    async def _send_response(self, response: Any) -> None:
        head = {"status": response.status_code, "content_type": content_type(response)}
        await self._send_chunk((core.ITEM_HEAD, head))
        pieces = getattr(response, "body_iterator", None)
        items = self._items([response.body] if pieces is None else pieces)
        try:
            async for item in items:
                if item:
                    await self._send_chunk((core.ITEM_BODY, item if isinstance(item, str) else bytes(item)))
        finally:
            await items.aclose()
        self._end(0)
        if getattr(response, "background", None) is not None:
            await response.background()

    async def _send_chunk(self, chunk: Chunk) -> None:
        while self._credit <= 0:
            self._more_credit.clear()
            await self._more_credit.wait()
        form, payload = chunk
        send = self.link.send if form in (core.ITEM_DATA, core.ITEM_HEAD) else self.link.send_raw
        length = send(core.CHUNK, self.call.id, payload, form)
        # A long one counts for several, see `chunk_cost` of the frames.
        self._credit -= 1 + length // core.CREDIT_BYTES

    def _end(self, flags: int) -> None:
        self.link.send_raw(core.END, self.call.id, b"", flags)

    def _emitted_text(self) -> str:
        return self.call.needed_request().log.text


def is_iterable(result: Any) -> bool:
    """Whether a result gives its items one by one. Lists and other containers do not: they are values."""
    return hasattr(type(result), "__next__") or hasattr(type(result), "__aiter__")


def is_object(value: Any) -> bool:
    """Whether a value stands for a JSON object."""
    return isinstance(value, dict) or hasattr(type(value), "model_dump")


def content_type(response: Any) -> str | None:
    """The type a response declares."""
    headers = getattr(response, "headers", None)
    declared = headers.get("content-type") if headers is not None else response.media_type
    return None if declared is None else str(declared)


def chunk_of(item: Any) -> Chunk:
    """One yielded item as a chunk."""
    if is_object(item):
        return core.ITEM_DATA, item
    if isinstance(item, (bytes, bytearray, memoryview)):
        item = bytes(item).decode("utf-8")
    if not isinstance(item, str):
        # What the real product says, where it asks the item for its first letters.
        raise AttributeError(f"'{type(item).__name__}' object has no attribute 'startswith'")
    if item.startswith("data:"):
        return core.ITEM_RAW, item.rstrip("\r\n")
    return core.ITEM_TEXT, item


async def close_async(iterator: Any) -> None:
    """Closes an async generator. What it raises while closing changes nothing any more, so it is printed."""
    close = getattr(iterator, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except Exception as error:
        print(f"closing the generator failed: {type(error).__name__}")


def close_sync(iterator: Any) -> None:
    """Closes a generator. What it raises while closing changes nothing any more, so it is printed."""
    close = getattr(iterator, "close", None)
    if close is None:
        return
    try:
        close()
    except BaseException as error:
        print(f"closing the generator failed: {type(error).__name__}")

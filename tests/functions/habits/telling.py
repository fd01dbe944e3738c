"""
title: One model for each way of telling something
description: Each answers through events alone, in the manner of those who know a browser at the other end.
"""

import asyncio
from typing import Any, Awaitable, Callable, Optional


async def status(emit):
    await emit({"type": "status", "data": {"description": "Searching…", "done": False}})
    await emit({"type": "status", "data": {"description": "Found 3", "done": True, "hidden": True}})


async def message(emit):
    await emit({"type": "message", "data": {"content": "Hello"}})
    await emit({"type": "message", "data": {"content": ", world"}})


async def delta(emit):
    for word in ("one ", "two ", "three"):
        await emit({"type": "chat:message:delta", "data": {"content": word}})


async def replace(emit):
    await emit({"type": "message", "data": {"content": "draft"}})
    await emit({"type": "replace", "data": {"content": "final"}})
    await emit({"type": "message", "data": {"content": "!"}})


async def chat_message(emit):
    await emit({"type": "chat:message:delta", "data": {"content": "draft"}})
    await emit({"type": "chat:message", "data": {"content": "the whole message"}})


async def completion(emit):
    await emit({"type": "chat:completion", "data": {"choices": [{"delta": {"content": "by "}}]}})
    await emit({"type": "chat:completion", "data": {"choices": [{"delta": {"content": "pieces"}}]}})
    await emit({"type": "chat:completion", "data": {"usage": {"total_tokens": 3}}})
    await emit({"type": "chat:completion", "data": {"done": True}})


async def completed(emit):
    await emit({"type": "chat:completion", "data": {"content": "so far", "done": False}})
    await emit({"type": "chat:completion", "data": {"content": "all of it", "done": True, "title": "A title"}})


async def citation(emit):
    await emit(
        {
            "type": "citation",
            "data": {
                "document": ["Some text."],
                "metadata": [{"date_accessed": "2025-01-01", "source": "A book"}],
                "source": {"name": "A book", "url": "https://example.test/book"},
            },
        }
    )


async def source(emit):
    await emit({"type": "source", "data": {"source": {"name": "A page"}, "document": ["x"], "metadata": [{"page": 1}]}})


async def notification(emit):
    await emit({"type": "notification", "data": {"type": "warning", "content": "Nearly used up"}})


async def execute(emit):
    await emit({"type": "execute", "data": {"code": "alert('hi')"}})


async def embeds(emit):
    await emit({"type": "embeds", "data": {"embeds": ["<b>card</b>"]}})
    await emit({"type": "chat:message:embeds", "data": {"embeds": ["<b>card</b>"]}})


async def files(emit):
    await emit({"type": "files", "data": {"files": [{"type": "image", "url": "data:image/png;base64,AA=="}]}})
    await emit({"type": "chat:message:files", "data": {"files": [{"type": "image", "url": "/x.png"}]}})


async def input_(emit):
    await emit({"type": "input", "data": {"title": "Name?", "message": "Yours", "placeholder": "Ann"}})
    await emit({"type": "confirmation", "data": {"title": "Sure?", "message": "Really?"}})


async def error(emit):
    await emit({"type": "error", "data": {"detail": "it went wrong"}})
    await emit({"type": "chat:message:error", "data": {"error": {"content": "it went wrong"}}})


async def tool_calls(emit):
    await emit({"type": "tool_calls", "data": {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}})


async def singles(emit):
    await emit({"type": "chat:title", "data": "A title"})
    await emit({"type": "chat:tags", "data": ["a", "b"]})
    await emit({"type": "chat:message:follow_ups", "data": {"follow_ups": ["And then?"]}})
    await emit({"type": "chat:tasks:cancel"})
    await emit({"type": "usage", "data": {"total_tokens": 3}})
    await emit({"type": "terminal:output", "data": "$ ls"})
    await emit({"type": "close_output", "data": None})
    await emit({"type": "clear_all"})
    await emit({"type": "log", "data": "working"})


async def shapeless(emit):
    await emit({"data": {"content": "no type at all"}})
    await emit({"description": "no type, no data"})
    await emit({})
    await emit(None)
    await emit("just text")
    await emit(["a", "list"])
    await emit({"type": None, "data": {"content": "no text for a type"}})
    await emit({"type": 7, "data": {"content": "a number for a type"}})
    await emit({"type": "message", "data": None})
    await emit({"type": "message", "data": "text for data"})
    await emit({"type": "message", "data": {"content": None}})
    await emit({"type": "message", "data": {"content": ["parts"]}})
    await emit({"type": "replace"})
    await emit({"type": "chat:completion", "data": {"choices": []}})
    await emit({"type": "chat:completion", "data": {"choices": ["?"]}})


async def unspeakable(emit):
    await emit({"type": "message", "data": {"content": "told"}})
    await emit({"type": "status", "data": {"description": {1, 2}}})
    await emit({"type": "status", "data": {"description": object()}})
    await emit({"type": "status", "data": {"share": float("nan")}})
    await emit({"type": "status", "data": {"description": "lone \ud800 surrogate"}})
    await emit({"type": "status", "data": {"raw": b"\xff"}})
    endless: dict[str, Any] = {"type": "status"}
    endless["data"] = endless
    await emit(endless)
    await emit({"type": "status", "data": {"description": "x" * 2_000_000}})
    await emit({"type": "message", "data": {"content": " all"}})


async def from_threads(emit):
    loop = asyncio.get_running_loop()

    def work():
        event = {"type": "message", "data": {"content": "from a thread"}}
        asyncio.run_coroutine_threadsafe(emit(event), loop).result()
        return asyncio.run(emit({"type": "message", "data": {"content": ", from its loop"}}))

    await asyncio.to_thread(work)


async def many(emit):
    for number in range(2000):
        await emit({"type": "status", "data": {"description": f"step {number}", "done": number == 1999}})
    await emit({"type": "message", "data": {"content": "done"}})


async def beside(emit):
    await emit({"type": "message", "data": {"content": "only an event"}})
    return "the answer itself"


async def generated(emit):
    async def items():
        await emit({"type": "message", "data": {"content": "by a generator"}})
        return
        yield "that gives nothing"

    return items()


WAYS = {
    way.__name__.strip("_"): way
    for way in [status, message, delta, replace, chat_message, completion, completed, citation, source, notification]
    + [execute, embeds, files, input_, error, tool_calls, singles, shapeless, unspeakable, from_threads, many]
    + [beside, generated]
}


class Pipe:
    def pipes(self):
        return [{"id": name, "name": name} for name in WAYS]

    async def pipe(self, body: dict, __event_emitter__: Optional[Callable[[dict], Awaitable[None]]] = None):
        result = None
        if __event_emitter__:
            result = await WAYS[body["model"].split(".", 1)[1]](__event_emitter__)
        if result is None and body.get("stream"):
            return ""
        return result

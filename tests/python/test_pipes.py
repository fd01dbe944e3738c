"""Pipes: every kind of result, whole and streamed; credit; manifolds."""

from __future__ import annotations

import struct

import pytest
from driver import Frame, Handler, Item, Kind, Worker, forms

END_AS_IS = 1
FAILED_WHILE_READ = 1


def pipe(body: str, prefix: str = "def") -> str:
    """A pipe with this body."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    return f"class Pipe:\n    {prefix} pipe(self, body, __event_emitter__=None):\n{lines}\n"


@pytest.mark.parametrize("prefix", ["def", "async def"])
@pytest.mark.parametrize(
    ("body", "reply", "chunks", "end"),
    [
        ("return 'é😀'", {"text": "é😀"}, [("TEXT", "é😀")], 0),
        ("return ''", {"text": ""}, [("TEXT", "")], 0),
        ("return {'a': 1}", {"data": {"a": 1}}, [("DATA", '{"a":1}')], END_AS_IS),
        ("return None", {"none": True}, [], 0),
        ("return 42", {"none": True}, [], 0),
        ("return ['a', 'b']", {"none": True}, [], 0),
        ("return b'bytes'", {"none": True}, [], 0),
        ("return False", {"none": True}, [], 0),
        ("return iter(['a', 'b'])", {"text": "ab"}, [("TEXT", "a"), ("TEXT", "b")], 0),
        ("return (c for c in 'ab')", {"text": "ab"}, [("TEXT", "a"), ("TEXT", "b")], 0),
        ("async def items():\n    yield 'a'\nreturn items()", {"text": "a"}, [("TEXT", "a")], 0),
    ],
)
def test_results(
    worker: Worker, prefix: str, body: str, reply: dict[str, object], chunks: list[tuple[str, str]], end: int
) -> None:
    assert worker.pipe(pipe(body, prefix), stream=False)[1].json == reply
    sent, last = worker.pipe(pipe(body, prefix), stream=True)
    assert forms(sent) == chunks
    assert (last.kind, last.flags) == (Kind.END, end)


@pytest.mark.parametrize("prefix", ["def", "async def"])
def test_items_of_every_kind(worker: Worker, prefix: str) -> None:
    body = """
yield "text"
yield ""
yield {"choices": []}
yield 'data: {"x": 1}\\n\\n'
yield b'data: [DONE]'
yield b"raw \\xc3\\xa9"
"""
    chunks, last = worker.pipe(pipe(body, prefix), stream=True)
    assert forms(chunks) == [
        ("TEXT", "text"),
        ("TEXT", ""),
        ("DATA", '{"choices":[]}'),
        ("RAW", 'data: {"x": 1}'),
        ("RAW", "data: [DONE]"),
        ("TEXT", "raw é"),
    ]
    assert (last.kind, last.flags) == (Kind.END, 0)
    whole = worker.pipe(pipe("yield 'a'\nyield {'b': 1}\nyield None\nyield b'c'\nyield 5", prefix), stream=False)[1]
    assert whole.json == {"text": "a{'b': 1}Noneb'c'5"}


@pytest.mark.needs("pydantic")
def test_models_are_objects_whole_and_streamed(worker: Worker) -> None:
    source = "from pydantic import BaseModel\nclass M(BaseModel):\n    q: int = 1\n" + pipe("return M()")
    assert worker.pipe(source, stream=False)[1].json == {"data": {"q": 1}}
    chunks, last = worker.pipe(source, stream=True)
    assert (forms(chunks), last.kind) == ([("DATA", '{"q":1}')], Kind.END)
    source = source.replace("return", "yield")
    assert forms(worker.pipe(source, stream=True)[0]) == [("DATA", '{"q":1}')]


@pytest.mark.parametrize("prefix", ["def", "async def"])
@pytest.mark.parametrize(
    ("item", "kind"), [("None", "AttributeError"), ("5", "AttributeError"), ("b'\\xff'", "UnicodeDecodeError")]
)
def test_items_of_no_use_end_the_stream_with_an_error(worker: Worker, prefix: str, item: str, kind: str) -> None:
    chunks, last = worker.pipe(pipe(f"yield 'a'\nyield {item}", prefix), stream=True)
    assert forms(chunks) == [("TEXT", "a")]
    assert (last.kind, last.json["type"]) == (Kind.ERROR, kind)


@pytest.mark.parametrize("stream", [False, True])
def test_error_says_whether_the_pipe_had_returned(worker: Worker, stream: bool) -> None:
    last = worker.pipe(pipe("raise ValueError('boom')"), stream)[1]
    assert (last.kind, last.flags, last.json["message"]) == (Kind.ERROR, 0, "boom")
    chunks, last = worker.pipe(pipe("yield 'a'\nraise ValueError('mid')"), stream)
    assert (last.kind, last.flags, last.json["message"]) == (Kind.ERROR, FAILED_WHILE_READ, "mid")
    assert forms(chunks) == ([("TEXT", "a")] if stream else [])


def response(chunks: list[Frame]) -> tuple[object, bytes]:
    """Head and body of a response."""
    assert [chunk.flags for chunk in chunks[1:]] == [Item.BODY] * (len(chunks) - 1)
    return chunks[0].json, b"".join(chunk.payload for chunk in chunks[1:])


@pytest.mark.needs("fastapi")
@pytest.mark.parametrize("stream", [False, True])
def test_responses_keep_status_type_and_bytes(worker: Worker, stream: bool) -> None:
    imports = "from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse\n"
    chunks, last = worker.pipe(imports + pipe("return JSONResponse({'e': 1}, 418)"), stream)
    assert response(chunks) == ({"status": 418, "content_type": "application/json"}, b'{"e":1}')
    assert last.kind == Kind.END
    chunks, _ = worker.pipe(imports + pipe("return PlainTextResponse('x')"), stream)
    assert response(chunks) == ({"status": 200, "content_type": "text/plain; charset=utf-8"}, b"x")
    items = "async def items():\n    yield 'data: 1\\n\\n'\n    yield b'raw'\n"
    chunks, _ = worker.pipe(
        imports + pipe(items + "return StreamingResponse(items(), media_type='text/event-stream')"), stream
    )
    assert response(chunks)[1] == b"data: 1\n\nraw"
    chunks, _ = worker.pipe(
        imports + pipe("return StreamingResponse(iter(['a', 'b']), media_type='text/plain')"), stream
    )
    assert response(chunks)[1] == b"ab"


EMIT = """
async def emit(kind, **data):
    await __event_emitter__({"type": kind, "data": data})
await emit("status", description="working")
await emit("message", content="lost")
await emit("replace", content="one ")
await emit("chat:message:delta", content="two ")
await emit("chat:completion", choices=[{"delta": {"content": "three"}}])
"""


@pytest.mark.parametrize("result", ["None", "''"])
def test_emitted_text_is_the_answer_of_a_pipe_that_returns_none(worker: Worker, result: str) -> None:
    source = pipe(f"{EMIT}return {result}", "async def")
    assert worker.pipe(source, stream=False)[1].json == {"text": "one two three"}
    assert forms(worker.pipe(source, stream=True)[0]) == [("TEXT", "one two three")]


def test_parameters_of_pipes(worker: Worker) -> None:
    source = """
class Pipe:
    def pipe(self, body, __files__, __tools__, __task__, __session_id__, __chat_id__,
             __model__="absent", __id__="absent"):
        return {"given": [__files__, __tools__, __task__, __session_id__, __chat_id__, __model__, __id__], "body": body}
"""
    last = worker.pipe(source, stream=False)[1]
    assert last.json["data"] == {"given": [[], {}, None, None, "", "absent", "absent"], "body": {"model": "mani.en"}}
    last = worker.pipe(source, stream=False, files=[{"id": "f"}])[1]
    assert last.json["data"]["given"][0] == [{"id": "f"}]


@pytest.mark.parametrize("prefix", ["def", "async def"])
def test_a_stream_waits_for_credit(worker: Worker, prefix: str) -> None:
    source = pipe("self.n = 0\nwhile self.n < 100:\n    self.n += 1\n    yield str(self.n)", prefix)
    source += "    def pipes(self):\n        return [{'id': str(self.n), 'name': ''}]\n"
    slot = worker.load(source)
    call = worker.start(Handler.PIPE, request=worker.open(slot), body={}, stream=True)
    for _ in range(64):
        worker.wait(Kind.CHUNK, id=call)
    # The worker has sent all it may; whatever else it did would show before the answer to this.
    listed = worker.result(Handler.PIPES, slot=slot, valves=0)
    assert listed["models"][0]["id"] in ("64", "65")
    assert not [frame for frame in worker.received if frame.kind == Kind.CHUNK]
    worker.send(Kind.CREDIT, call, struct.pack("<I", 36))
    chunks, last = worker.stream(call)
    assert (len(chunks), last.kind) == (36, Kind.END)


def test_long_items_take_more_of_the_credit(worker: Worker) -> None:
    source = pipe("self.n = 0\nwhile self.n < 9:\n    self.n += 1\n    yield 'x' * (1 << 20)")
    source += "    def pipes(self):\n        return [{'id': str(self.n), 'name': ''}]\n"
    slot = worker.load(source)
    call = worker.start(Handler.PIPE, request=worker.open(slot), body={}, stream=True)
    # Each takes 17 of the 64.
    for _ in range(4):
        worker.wait(Kind.CHUNK, id=call)
    worker.result(Handler.PIPES, slot=slot, valves=0)
    assert not [frame for frame in worker.received if frame.kind == Kind.CHUNK]
    worker.send(Kind.CREDIT, call, struct.pack("<I", 4 * 17 + 1))
    for _ in range(4):
        worker.wait(Kind.CHUNK, id=call)
    worker.send(Kind.CREDIT, call, struct.pack("<I", 4 * 17))
    chunks, last = worker.stream(call)
    assert (len(chunks), last.kind) == (1, Kind.END)


def test_items_leave_one_by_one_while_the_generator_blocks(worker: Worker) -> None:
    source = """
import os
class Pipe:
    def pipe(self, body):
        for n in range(3):
            yield str(n)
            os.read(body["fd"], 1)
    def pipes(self):
        read, self.write = os.pipe()
        return [{"id": read, "name": "fd"}]
"""
    # The first block is on the loop's thread, so the test frees it from outside, through the process itself.
    slot = worker.load(source)
    fd = int(worker.result(Handler.PIPES, slot=slot, valves=0)["models"][0]["id"])
    call = worker.start(Handler.PIPE, request=worker.open(slot), body={"fd": fd}, stream=True)
    with open(f"/proc/{worker.pid}/fd/{fd + 1}", "wb", buffering=0) as gate:
        for n in range(3):
            assert worker.wait(Kind.CHUNK, id=call).payload == str(n).encode()
            gate.write(b"x")
    assert worker.wait(Kind.END, Kind.ERROR, id=call).kind == Kind.END


def test_slow_generator_moves_to_a_thread_and_is_closed_there(worker: Worker) -> None:
    source = """
import threading
from time import thread_time
class Pipe:
    def pipe(self, body):
        try:
            for n in range(3):
                start = thread_time()
                while thread_time() - start < 0.005:
                    pass
                yield str(threading.current_thread() is threading.main_thread())
        finally:
            print("closed", threading.current_thread() is threading.main_thread())
"""
    chunks, last = worker.pipe(source, stream=True)
    assert [chunk.payload for chunk in chunks] == [b"True", b"False", b"False"]
    assert last.kind == Kind.END
    assert [frame.payload for frame in worker.logged()] == [b"closed False\n"]


def test_manifold_lists_its_models_under_full_names(worker: Worker) -> None:
    source = """
class Pipe:
    name = "tr: "
    async def pipes(self):
        models = [{"id": "en", "name": "English"}, {"id": "a.b", "name": "AB", "more": 1}]
        return [*models, {"id": "bad"}, {"id": "z", "name": "Z"}]
    def pipe(self, body): return ""
"""
    listed = worker.result(Handler.PIPES, slot=worker.load(source), valves=0)
    assert listed == {"models": [{"id": "en", "name": "tr: English"}, {"id": "a.b", "name": "tr: AB"}]}


@pytest.mark.parametrize(
    ("pipes", "listed"), [("[]", []), ("None", []), ("[{'id': 'a', 'name': 'A'}]", [{"id": "a", "name": "A"}])]
)
def test_manifold_as_a_list(worker: Worker, pipes: str, listed: list[dict[str, str]]) -> None:
    slot = worker.load(f"class Pipe:\n    pipes = {pipes}\n    def pipe(self, body): return ''\n")
    assert worker.result(Handler.PIPES, slot=slot, valves=0) == {"models": listed}


def test_manifold_that_raises_is_an_error(worker: Worker) -> None:
    source = "class Pipe:\n    def pipes(self): raise OSError('no network')\n    def pipe(self, body): return ''\n"
    assert worker.failure(Handler.PIPES, slot=worker.load(source), valves=0)["message"] == "no network"

"""Where sync handlers run: on the loop's thread, on a thread of their own, with loops of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from driver import Handler, Kind, Worker


def test_slow_sync_handler_moves_to_one_thread_and_stays_one_at_a_time(worker: Worker) -> None:
    source = """
import threading
from time import thread_time
class Filter:
    def __init__(self):
        self.inside = 0
    def inlet(self, body):
        self.inside += 1
        start = thread_time()
        while thread_time() - start < 0.005:
            pass
        body["inside"] = self.inside
        body["thread"] = threading.get_ident() == threading.main_thread().ident
        self.inside -= 1
        return body
"""
    slot = worker.load(source)
    assert worker.result(Handler.INLET, request=worker.open(slot), body={})["body"] == {"inside": 1, "thread": True}
    calls = [worker.start(Handler.INLET, request=worker.open(slot), body={}) for _ in range(5)]
    worker.ping()
    for call in calls:
        answer = worker.wait(Kind.REPLY, Kind.ERROR, id=call)
        assert answer.json["body"] == {"inside": 1, "thread": False}


def test_a_handler_that_others_keep_from_running_stays(worker: Worker) -> None:
    # Shares one core with a busy program, beside which calls take many times what they compute.
    source = """
import threading
class Filter:
    def inlet(self, body):
        for _ in range(10_000):
            pass
        return {"main": threading.current_thread() is threading.main_thread()}
"""
    slot = worker.load(source)
    core = min(os.sched_getaffinity(worker.pid))
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            for pid in (worker.pid, busy.pid):
                os.sched_setaffinity(pid, {core})
            calls = [worker.start(Handler.INLET, request=worker.open(slot), body={}) for _ in range(200)]
            answers = [worker.wait(Kind.REPLY, id=call).json["body"] for call in calls]
        finally:
            busy.kill()
    assert answers == [{"main": True}] * 200


def test_a_search_for_garbage_is_not_charged_to_a_handler(worker: Worker) -> None:
    source = """
import gc, threading
KEPT = [[] for _ in range(300_000)]
class Filter:
    def inlet(self, body):
        gc.collect()
        return {"main": threading.current_thread() is threading.main_thread()}
"""
    slot = worker.load(source)
    for _ in range(3):
        assert worker.result(Handler.INLET, request=worker.open(slot), body={})["body"] == {"main": True}


def test_source_that_needs_the_loop_never_moves(worker: Worker) -> None:
    source = """
import asyncio, threading
from time import thread_time
class Filter:
    def inlet(self, body):
        start = thread_time()
        while thread_time() - start < 0.005:
            pass
        asyncio.get_running_loop()
        return {"main": threading.current_thread() is threading.main_thread()}
"""
    slot = worker.load(source)
    for _ in range(2):
        assert worker.result(Handler.INLET, request=worker.open(slot), body={})["body"] == {"main": True}


@pytest.mark.parametrize(
    "statement",
    ["asyncio.run(later())", "asyncio.new_event_loop().run_until_complete(later())"]
    + ["asyncio.get_event_loop().run_until_complete(later())"],
)
def test_sync_code_may_run_loops_of_its_own(worker: Worker, statement: str) -> None:
    source = f"""
import asyncio
from contextvars import ContextVar
user = ContextVar("user")
async def later():
    await asyncio.sleep(0)
    return user.get()
class Filter:
    def inlet(self, body, __user__):
        user.set(__user__["name"])
        return {{"found": {statement}}}
"""
    slot = worker.load(source)
    for _ in range(2):
        assert worker.result(Handler.INLET, request=worker.open(slot), body={})["body"] == {"found": "Ann"}


def test_sync_code_that_asks_for_the_running_loop_first_finds_it(worker: Worker) -> None:
    source = """
import asyncio
async def later():
    pass
class Filter:
    def inlet(self, body):
        if asyncio.get_event_loop().is_running():
            return {"running": True}
        asyncio.run(later())
"""
    assert worker.inlet(source) == {"running": True}


def test_threads_run_that_many_at_a_time(worker: Worker) -> None:
    source = """
import threading
BOTH = threading.Barrier(2, timeout=20)
class Filter:
    def inlet(self, body):
        BOTH.wait()
        return body
"""
    slot = worker.load(source, threads=2)
    calls = [worker.start(Handler.INLET, request=worker.open(slot), body={}) for _ in range(2)]
    for call in calls:
        assert worker.wait(Kind.REPLY, Kind.ERROR, id=call).kind == Kind.REPLY


def test_context_variables_and_stop_iteration_on_the_thread(worker: Worker) -> None:
    source = """
from contextvars import ContextVar
from time import thread_time
WHO = ContextVar("who", default="nobody")
class Filter:
    def inlet(self, body):
        start = thread_time()
        while thread_time() - start < 0.005:
            pass
        WHO.set(body["who"])
        return body
    def outlet(self, body):
        if body.get("stop"):
            raise StopIteration
        return {"who": WHO.get()}
"""
    slot = worker.load(source)
    for who in ("ann", "bob"):
        request = worker.open(slot)
        worker.result(Handler.INLET, request=request, body={"who": who})
        assert worker.result(Handler.OUTLET, request=request, body={})["body"] == {"who": who}
        assert worker.failure(Handler.OUTLET, request=request, body={"stop": True})["type"] == "RuntimeError"


def test_a_stream_that_is_over_ends_while_another_holds_the_thread(worker: Worker) -> None:
    source = """
import asyncio, threading
EVENTS = {"first": threading.Event(), "second": threading.Event()}
def runs_a_loop():
    asyncio.run(None)
class Pipe:
    async def pipe(self, body):
        if body["word"] == "set":
            EVENTS[body["name"]].set()
            return ""
        return self.items(body["name"])
    def items(self, name):
        if name == "first":
            yield name
        EVENTS[name].wait()
        if name == "second":
            yield name
"""
    slot = worker.load(source)

    def start(word: str, name: str) -> int:
        body = {"word": word, "name": name}
        return worker.start(Handler.PIPE, request=worker.open(slot), body=body, stream=True)

    first = start("items", "first")
    assert worker.wait(Kind.CHUNK, id=first).payload == b"first"
    # It waits for the thread, then holds it.
    second = start("items", "second")
    start("set", "first")
    assert worker.wait(Kind.END, Kind.ERROR, id=first).kind == Kind.END
    start("set", "second")
    assert worker.wait(Kind.CHUNK, id=second).payload == b"second"
    assert worker.wait(Kind.END, Kind.ERROR, id=second).kind == Kind.END

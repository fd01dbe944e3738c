"""The life of calls, workers and the zygote: cancel, close, ping, exits and their notices."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import pytest
from driver import (
    HEADER,
    TIMEOUT_SECONDS,
    Handler,
    Kind,
    SpawnFailed,
    Worker,
    WorkerDied,
    Zygote,
    core_directory,
    encode,
    python,
)

WAITING = """
import asyncio
class {name}:
    async def {handler}(self, body):
        print("begun")
        try:
            {wait}
        except asyncio.CancelledError:
            print("cancelled")
            raise
"""


def test_cancel_ends_an_async_handler(worker: Worker) -> None:
    slot = worker.load(WAITING.format(name="Filter", handler="inlet", wait="await asyncio.Event().wait()"))
    call = worker.start(Handler.INLET, request=worker.open(slot), body={})
    worker.wait(Kind.LOG)
    worker.send(Kind.CANCEL, call)
    assert worker.wait(Kind.ERROR, id=call).json["type"] == "CancelledError"
    assert [frame.payload for frame in worker.logged()] == [b"cancelled\n"]


def test_cancel_that_arrives_with_its_call_is_answered(worker: Worker) -> None:
    slot = worker.load(WAITING.format(name="Filter", handler="inlet", wait="await asyncio.Event().wait()"))
    request = worker.open(slot)
    call = encode(Kind.CALL, 1000, {"request": request, "body": {}}, Handler.INLET)
    worker.connection.sendall(call + encode(Kind.CANCEL, 1000))
    assert worker.wait(Kind.ERROR, id=1000).json["type"] == "CancelledError"


@pytest.mark.parametrize("prefix", ["def", "async def"])
@pytest.mark.parametrize("kind", [Kind.CANCEL, Kind.CLOSE])
def test_cancel_and_close_close_generators(worker: Worker, prefix: str, kind: Kind) -> None:
    source = f"""
class Pipe:
    {prefix} pipe(self, body):
        try:
            while True:
                yield "x"
        finally:
            print("closed")
"""
    request = worker.open(worker.load(source))
    call = worker.start(Handler.PIPE, request=request, body={}, stream=True)
    for _ in range(64):
        worker.wait(Kind.CHUNK, id=call)
    worker.send(kind, call if kind == Kind.CANCEL else request)
    assert worker.wait(Kind.ERROR, id=call).json["type"] == "CancelledError"
    assert worker.wait(Kind.LOG).payload == b"closed\n"


def test_what_runs_on_a_thread_is_cancelled_once_it_has_ended_and_what_waits_for_it_at_once(worker: Worker) -> None:
    source = """
import os
from time import thread_time
class Filter:
    def __init__(self):
        self.read, self.write = os.pipe()
    def inlet(self, body):
        start = thread_time()
        while thread_time() - start < 0.005:
            pass
        if body.get("wait"):
            print("begun")
            os.read(self.read, 1)
        return body
    async def outlet(self, body):
        os.write(self.write, b"x")
        return body
"""
    slot = worker.load(source)
    request = worker.open(slot)
    worker.result(Handler.INLET, request=request, body={})
    running = worker.start(Handler.INLET, request=request, body={"wait": True})
    worker.wait(Kind.LOG)
    queued = worker.start(Handler.INLET, request=worker.open(slot), body={})
    for call in (running, queued):
        worker.send(Kind.CANCEL, call)
    assert worker.wait(Kind.ERROR, Kind.REPLY, id=queued).json["type"] == "CancelledError"
    worker.ping()
    assert not [frame for frame in worker.received if frame.id == running], "the thread is still taken"
    assert worker.result(Handler.OUTLET, request=request, body={"a": 1})["body"] == {"a": 1}
    assert worker.wait(Kind.ERROR, Kind.REPLY, id=running).json["type"] == "CancelledError"
    assert worker.result(Handler.INLET, request=request, body={"a": 2})["body"] == {"a": 2}


def test_ping_is_answered_while_handlers_wait(worker: Worker) -> None:
    slot = worker.load(WAITING.format(name="Filter", handler="inlet", wait="await asyncio.Event().wait()"))
    worker.start(Handler.INLET, request=worker.open(slot), body={})
    worker.ping()


def test_closed_request_is_not_there_any_more(worker: Worker) -> None:
    request = worker.open(worker.load("class Filter:\n    def inlet(self, body): return body\n"))
    worker.send(Kind.CLOSE, request)
    assert worker.failure(Handler.INLET, request=request, body={})["type"] == "Unknown"


@pytest.mark.parametrize("prefix", ["", "async "])
def test_requests_that_are_over_leave_no_garbage(worker: Worker, prefix: str) -> None:
    source = f"""
import gc
class Filter:
    {prefix}def inlet(self, body, __user__, __request__, __metadata__):
        return body
    def outlet(self, body):
        return {{"garbage": gc.collect()}}
"""
    slot = worker.load(source)

    def look() -> int:
        return int(worker.result(Handler.OUTLET, request=worker.open(slot), body={})["body"]["garbage"])

    look()
    for _ in range(50):
        request = worker.open(slot)
        worker.result(Handler.INLET, request=request, body={})
        worker.send(Kind.CLOSE, request)
    # Each of them was a circle, with the body of its request in it.
    assert look() < 50


def test_frames_split_anywhere_are_put_together(worker: Worker) -> None:
    request = worker.open(worker.load("class Filter:\n    def inlet(self, body): return body\n"))
    body = {"text": "x" * 3_000_000}
    wire = encode(Kind.CALL, 1000, {"request": request, "body": body}, Handler.INLET)
    for start, end in ((0, 1), (1, HEADER.size), (HEADER.size, 20), (20, len(wire))):
        worker.connection.sendall(wire[start:end])
    assert worker.wait(Kind.REPLY, id=1000).json["body"] == body


def test_system_exit_in_a_task_of_the_functions_own_ends_nothing(worker: Worker) -> None:
    source = """
import asyncio, sys
class Filter:
    async def inlet(self, body):
        async def leave():
            sys.exit(3)
        self.task = asyncio.get_running_loop().create_task(leave())
        await asyncio.sleep(0)
        return body
"""
    request = worker.open(worker.load(source))
    for _ in range(2):
        assert worker.result(Handler.INLET, request=request, body={"a": 1})["body"] == {"a": 1}


def test_worker_ends_when_its_socket_closes(zygote: Zygote) -> None:
    worker = zygote.spawn()
    worker.ping()
    worker.connection.close()
    assert os.waitstatus_to_exitcode(zygote.wait_exit(worker)) == 0
    os.close(worker.pidfd)


def test_stuck_worker_ends_after_its_socket_closed(zygote: Zygote) -> None:
    worker = zygote.spawn()
    request = worker.open(
        worker.load("import re\nclass Filter:\n    def inlet(self, body):\n        while True: pass\n")
    )
    worker.start(Handler.INLET, request=request, body={})
    worker.connection.close()
    assert os.waitstatus_to_exitcode(zygote.wait_exit(worker)) == 0
    os.close(worker.pidfd)


def test_waiting_tasks_are_cancelled_when_the_socket_closes(zygote: Zygote, tmp_path: Path) -> None:
    worker = zygote.spawn(data=str(tmp_path))
    path = tmp_path / "seen"
    source = WAITING.replace('print("cancelled")', f"open({str(path)!r}, 'w').close()")
    slot = worker.load(source.format(name="Filter", handler="inlet", wait="await asyncio.Event().wait()"))
    worker.start(Handler.INLET, request=worker.open(slot), body={})
    worker.wait(Kind.LOG)
    worker.connection.close()
    zygote.wait_exit(worker)
    assert path.exists()
    os.close(worker.pidfd)


@pytest.mark.parametrize(
    ("statement", "code"),
    [("os._exit(7)", 7), ("os.kill(os.getpid(), 9)", -signal.SIGKILL), ("os.abort()", -signal.SIGABRT)],
)
def test_exit_of_a_worker_is_told(zygote: Zygote, statement: str, code: int) -> None:
    worker = zygote.spawn()
    request = worker.open(worker.load(f"import os\nclass Filter:\n    def inlet(self, body): {statement}\n"))
    worker.start(Handler.INLET, request=request, body={})
    with pytest.raises(WorkerDied):
        worker.receive()
    assert os.waitstatus_to_exitcode(zygote.wait_exit(worker)) == code
    assert select.select([worker.pidfd], [], [], 20)[0] == [worker.pidfd]
    worker.close()


def test_pidfd_kills_the_worker_it_belongs_to(zygote: Zygote) -> None:
    worker, other = zygote.spawn(), zygote.spawn()
    signal.pidfd_send_signal(worker.pidfd, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(zygote.wait_exit(worker)) == -signal.SIGKILL
    other.ping()
    worker.close()
    other.close()


def test_memory_limit_is_an_error_of_the_call(zygote: Zygote) -> None:
    worker = zygote.spawn(memory_mib=512)
    source = "class Filter:\n    def inlet(self, body):\n        return {'x': len(bytearray(1 << 30))}\n"
    failure = worker.failure(Handler.INLET, request=worker.open(worker.load(source)), body={})
    assert failure["type"] == "MemoryError"
    worker.close()


def test_worker_has_only_its_own_descriptors(worker: Worker) -> None:
    source = """
import contextlib, os
class Filter:
    def inlet(self, body):
        links = []
        for number in sorted(os.listdir("/proc/self/fd"), key=int):
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(f"/proc/self/fd/{number}"))
        sockets = {link for link in links if link.startswith("socket:")}
        return {"input": links[0], "sockets": len(sockets), "name": open("/proc/self/comm").read().strip()}
"""
    # One for the gateway, and the pair asyncio wakes itself with.
    assert worker.inlet(source) == {"input": "/dev/null", "sockets": 3, "name": "test-worker"}


def test_processes_of_a_function_can_be_terminated(zygote: Zygote) -> None:
    worker = zygote.spawn(subprocesses=True)
    source = """
import multiprocessing
def double(number):
    print("nobody hears this")
    return 2 * number
class Filter:
    def inlet(self, body):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = pool.map(double, [1, 2])
        pool.join()
        return {"found": found}
"""
    slot = worker.load(source)
    for _ in range(3):
        assert worker.result(Handler.INLET, request=worker.open(slot), body={})["body"] == {"found": [2, 4]}
    worker.close()


def test_processes_of_a_function_neither_hold_the_workers_socket_nor_outlive_it(zygote: Zygote, tmp_path: Path) -> None:
    worker = zygote.spawn(subprocesses=True, data=str(tmp_path))
    source = f"""
import os, time
class Filter:
    def inlet(self, body):
        child = os.fork()
        if child == 0:
            time.sleep(3600)
            os._exit(0)
        with open("{tmp_path}/child", "w") as file:
            file.write(str(child))
        os._exit(0)
"""
    worker.start(Handler.INLET, request=worker.open(worker.load(source)), body={})
    with pytest.raises(WorkerDied):
        worker.wait(Kind.REPLY)
    # The end was told although the child was alive; the zygote ends it then.
    zygote.wait_exit(worker)
    pidfd = os.pidfd_open(int((tmp_path / "child").read_text())) if child_lives(tmp_path) else None
    if pidfd is not None:
        assert select.select([pidfd], [], [], TIMEOUT_SECONDS)[0], "the child outlives the worker"
        os.close(pidfd)
    worker.close()


def child_lives(tmp_path: Path) -> bool:
    """Whether the process that a function noted is still there."""
    return Path("/proc", (tmp_path / "child").read_text()).exists()


def test_terminal_signals_are_the_gateways_business(worker: Worker) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.pidfd_send_signal(worker.pidfd, number)
        worker.ping()


def test_end_of_the_control_socket_ends_every_worker() -> None:
    zygote = Zygote(python(), core_directory())
    worker = zygote.spawn()
    worker.ping()
    zygote.close()
    assert zygote.process.returncode == 0
    with pytest.raises(WorkerDied):
        worker.receive()
    worker.close()


def test_death_of_the_zygote_ends_no_worker() -> None:
    zygote = Zygote(python(), core_directory())
    worker = zygote.spawn()
    # It has made its directory once it answers; closing the zygote removes all of them.
    worker.ping()
    zygote.process.kill()
    zygote.close()
    worker.ping()
    worker.close()


def test_spawn_failure_is_told(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\ndef fork():\n    raise BlockingIOError(11, 'no more processes')\nos.fork = fork\n"
    )
    zygote = Zygote(python(), core_directory(), str(tmp_path))
    with pytest.raises(SpawnFailed, match="no more processes"):
        zygote.spawn()
    with pytest.raises(SpawnFailed):
        zygote.spawn()
    zygote.close()

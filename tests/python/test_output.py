"""What functions print and log."""

from __future__ import annotations

from driver import Frame, Handler, Kind, Worker

STDOUT, STDERR, LOGGING = 0, 1, 2


def texts(frames: list[Frame], source: int) -> str:
    """What came from one source, put together."""
    return b"".join(frame.payload for frame in frames if frame.flags == source).decode()


def test_prints_and_logs_come_under_the_functions_slot(worker: Worker) -> None:
    source = """
import logging, sys
print("loading")
logging.basicConfig(level=logging.DEBUG, force=True, format="hijacked")
class Filter:
    async def inlet(self, body):
        print("a", 1)
        print("err", file=sys.stderr)
        sys.stdout.buffer.write(b"bytes\\n")
        print("no end", end="")
        logging.getLogger("mine").warning("careful %s", 1)
        return body
"""
    slot = worker.load(source)
    worker.result(Handler.INLET, request=worker.open(slot), body={})
    frames = worker.logged()
    assert {frame.id for frame in frames} == {slot}
    assert texts(frames, STDOUT) == "loading\na 1\nbytes\nno end"
    assert texts(frames, STDERR).startswith("err\n")
    assert texts(frames, LOGGING) == "WARNING mine: careful 1\n"


def test_two_functions_in_one_process_are_told_apart(worker: Worker) -> None:
    source = """
import asyncio
class Filter:
    async def inlet(self, body):
        await asyncio.sleep(0)
        print("here")
        return body
"""
    slots = [worker.load(source, function_id=name) for name in ("first", "second")]
    for slot in slots:
        worker.result(Handler.INLET, request=worker.open(slot), body={})
    assert [frame.id for frame in worker.logged()] == slots


def test_output_is_cut_for_each_call(worker: Worker) -> None:
    source = """
class Filter:
    def inlet(self, body):
        for _ in range(300):
            print("é" * 499)
        return body
"""
    slot = worker.load(source)
    worker.result(Handler.INLET, request=worker.open(slot), body={})
    text = texts(worker.logged(), STDOUT)
    assert text.endswith("output cut\n")
    assert 64 * 1024 - 2 <= len(text.encode()) - len("output cut\n") <= 64 * 1024
    worker.received.clear()
    worker.result(Handler.INLET, request=worker.open(slot), body={})
    assert texts(worker.logged(), STDOUT).startswith("é")


def test_threads_of_the_functions_own_may_print(worker: Worker) -> None:
    source = """
import threading
class Filter:
    async def inlet(self, body):
        thread = threading.Thread(target=print, args=("from a thread",))
        thread.start()
        thread.join()
        return body
"""
    slot = worker.load(source)
    worker.result(Handler.INLET, request=worker.open(slot), body={})
    log = worker.wait(Kind.LOG)
    assert (log.id, log.payload) == (slot, b"from a thread\n")


def test_surrogates_in_prints_do_no_harm(worker: Worker) -> None:
    source = "class Filter:\n    def inlet(self, body):\n        print('\\ud800')\n        return body\n"
    worker.inlet(source)
    assert worker.wait(Kind.LOG).payload == b"?\n"


def test_json_conversion_that_prints_does_no_harm(worker: Worker) -> None:
    source = """
class Loud:
    def model_dump(self):
        print("dumping")
        return {"loud": True}
class Filter:
    def inlet(self, body):
        return {"x": Loud()}
"""
    assert worker.inlet(source) == {"x": {"loud": True}}
    assert worker.wait(Kind.LOG).payload == b"dumping\n"

"""The gateway's half of the worker protocol, for tests: a real zygote, real workers, plain sockets."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

PYTHON_FILES = Path(__file__).resolve().parents[2] / "crates/worker/python"
HEADER = struct.Struct("<IIBBH")
#: As the worker has them in `series.py`.
BOARD_PLACE = struct.Struct("=QII")
BOARD_PLACES = 4096
#: Far beyond what any step takes; a test that needs it has failed.
TIMEOUT_SECONDS = 30.0


class Kind(IntEnum):
    """Kinds of frames, as `crates/frames` numbers them."""

    LOAD = 1
    VALVES = 2
    FORGET = 3
    OPEN = 4
    CLOSE = 5
    CALL = 6
    CANCEL = 7
    CREDIT = 8
    PING = 9
    CALLBACK_REPLY = 10
    UNLOAD = 11
    CONFINE = 12
    EVENTS = 13
    READY = 65
    FAILED = 66
    REPLY = 67
    ERROR = 68
    CHUNK = 69
    END = 70
    EMIT = 71
    LOG = 72
    PONG = 73
    CALLBACK = 74


#: The parts of an `Open` frame, in their order.
TOLD = ("user", "user_valves", "metadata", "model", "request", "siblings")


class Handler(IntEnum):
    """What a `Call` invokes."""

    INLET = 1
    REQUEST = 2
    STREAM = 3
    OUTLET = 4
    PIPE = 5
    PIPES = 6
    ACTION = 7
    CHECK_VALVES = 8
    VALVES_SPEC = 9
    TOOL = 10


class Item(IntEnum):
    """The form of a chunk."""

    TEXT = 0
    DATA = 1
    RAW = 2
    HEAD = 3
    BODY = 4


class Frame(NamedTuple):
    """One frame as it came."""

    kind: int
    id: int
    flags: int
    handler: int
    payload: bytes

    @property
    def json(self) -> Any:
        """The payload, if it is JSON."""
        return json.loads(self.payload)


class WorkerDied(Exception):
    """The worker closed its socket."""


class SpawnFailed(Exception):
    """The zygote could not fork."""


class Zygote:
    """A zygote process and its control socket."""

    def __init__(self, python: str, *directories: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control = ours
        self.control.settimeout(TIMEOUT_SECONDS)
        path = os.pathsep.join([*directories, str(PYTHON_FILES)])
        script = str(PYTHON_FILES / "sluicegate_worker/zygote.py")
        # The zygote expects its control socket as number 3, which `Popen` cannot arrange.
        launcher = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
        zygote = [python, "-s", "-P", script]
        command = [python, "-c", launcher, str(theirs.fileno()), *zygote]
        # A zygote that is killed leaves its files behind; here they end with the test.
        self.scratch = tempfile.TemporaryDirectory()
        own = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": self.scratch.name}
        environment = {**os.environ, **own}
        self.process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])
        theirs.close()
        self.ready = self.receive()[0]
        self.spawns = 0

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next message, with its descriptors."""
        data, descriptors, _, _ = socket.recv_fds(self.control, 65536, 4)
        return json.loads(data), descriptors

    def spawn(self, memory_mib: int = 0, confined: bool = True, apart: bool = False, **orders: Any) -> Worker:
        """A new worker, confined as `orders` say or told nothing yet; `apart` gives it process numbers of its own."""
        ours, theirs = socket.socketpair()
        handover, their_handover = socket.socketpair()
        self.spawns += 1
        message = {"spawn": self.spawns, "memory_mib": memory_mib, "name": "test-worker", "apart": apart}
        board = os.memfd_create("board")
        os.ftruncate(board, BOARD_PLACES * BOARD_PLACE.size)
        descriptors = [theirs.fileno(), their_handover.fileno(), board]
        socket.send_fds(self.control, [json.dumps(message).encode()], descriptors)
        theirs.close()
        their_handover.close()
        while True:
            answer, descriptors = self.receive()
            if answer.get("spawned") == self.spawns:
                worker = Worker(ours, answer["pid"], descriptors[0], self.spawns)
                worker.guard = answer["guard"]
                worker.board = board
                if orders.get("egress"):
                    worker.handover = handover
                else:
                    handover.close()
                worker.protections = worker.confine(**orders) if confined else []
                return worker
            if answer.get("spawn_failed") == self.spawns:
                ours.close()
                handover.close()
                os.close(board)
                raise SpawnFailed(answer["error"])

    def wait_exit(self, worker: Worker) -> int:
        """The raw wait status of a worker that ends."""
        while True:
            answer, _ = self.receive()
            if answer.get("exited") == worker.spawn:
                return int(answer["status"])

    def close(self) -> None:
        """Ends the zygote as the gateway does: by closing the control socket."""
        self.control.close()
        self.process.wait(TIMEOUT_SECONDS)
        self.scratch.cleanup()


class Worker:
    """One worker, spoken to frame by frame."""

    def __init__(self, connection: socket.socket, pid: int, pidfd: int, spawn: int) -> None:
        self.connection = connection
        self.connection.settimeout(TIMEOUT_SECONDS)
        self.pid = pid
        self.pidfd = pidfd
        self.spawn = spawn
        self.received: list[Frame] = []
        self.protections: list[dict[str, Any]] = []
        self.guard: int | None = None
        self.board = -1
        self.handover: socket.socket | None = None
        self._ids = 0

    def close(self) -> None:
        """Ends the worker as the gateway does: by closing its socket."""
        self.connection.close()
        if self.handover is not None:
            self.handover.close()
        os.close(self.pidfd)
        os.close(self.board)

    def running(self, call: int) -> int | None:
        """Which function of a series the board says that runs."""
        _, noted, index = BOARD_PLACE.unpack(os.pread(self.board, BOARD_PLACE.size, call % BOARD_PLACES * BOARD_PLACE.size))
        return int(index) if noted == call else None

    def next_id(self) -> int:
        """A number not used before."""
        self._ids += 1
        return self._ids

    def send(self, kind: Kind, id: int, payload: Any = None, handler: int = 0) -> None:
        """Sends one frame."""
        self.connection.sendall(encode(kind, id, payload, handler))

    def receive(self) -> Frame:
        """The next frame from the socket."""
        length, id, kind, flags, handler = HEADER.unpack(self._exactly(HEADER.size))
        return Frame(kind, id, flags, handler, self._exactly(length))

    def wait(self, *kinds: Kind, id: int | None = None) -> Frame:
        """The first frame of one of these kinds; those before it stay in `received`."""
        for position, frame in enumerate(self.received):
            if frame.kind in kinds and id in (None, frame.id):
                return self.received.pop(position)
        while True:
            frame = self.receive()
            if frame.kind in kinds and id in (None, frame.id):
                return frame
            self.received.append(frame)

    def _exactly(self, length: int) -> bytes:
        pieces = bytearray()
        while len(pieces) < length:
            piece = self.connection.recv(length - len(pieces))
            if not piece:
                raise WorkerDied
            pieces += piece
        return bytes(pieces)

    def confine(self, **orders: Any) -> list[dict[str, Any]]:
        """Tells the worker what it may do, which is the first that it must be told."""
        usual = {"isolation": True, "data": None, "subprocesses": False, "network": True, "uid": None}
        call = self.next_id()
        self.send(Kind.CONFINE, call, {**usual, **orders})
        answer = self.wait(Kind.REPLY, Kind.ERROR, id=call)
        assert answer.kind == Kind.REPLY, answer.payload
        return answer.json["protections"]

    # The steps of a request.

    def try_load(self, source: str, function_id: str = "under_test", threads: int = 1) -> tuple[int, Frame]:
        """Loads a function; its slot and the answer."""
        slot = self.next_id()
        payload = {"function_id": function_id, "source": source, "threads": threads}
        self.send(Kind.LOAD, slot, payload)
        return slot, self.wait(Kind.READY, Kind.FAILED, id=slot)

    def load(self, source: str, function_id: str = "under_test", threads: int = 1) -> int:
        """Loads a function that can be loaded, with no stored valves."""
        slot, answer = self.try_load(source, function_id, threads)
        assert answer.kind == Kind.READY, answer.payload
        self.valves(slot, 0, {})
        return slot

    def valves(self, slot: int, version: int, values: dict[str, Any]) -> None:
        """Stores a version of the valves."""
        self.send(Kind.VALVES, slot, {"version": version, "values": values})

    def open(self, slot: int, valves: int = 0, **more: Any) -> int:
        """Begins a request."""
        request = self.next_id()
        told = {
            "user": {"id": "u1", "email": "a@example.test", "name": "Ann", "role": "user"},
            "metadata": {"chat_id": "", "model": {"id": "mani.en", "name": "English"}},
            "model": {"id": "mani.en", "name": "English", "owned_by": "openai"},
            "request": {
                "method": "POST",
                "url": "http://127.0.0.1:8080/api/chat/completions?a=1",
                "headers": {"User-Agent": "test"},
                "client": {"host": "127.0.0.1", "port": 5},
            },
            **more,
        }
        parts = [json.dumps(told[name]).encode() if name in told else b"" for name in TOLD]
        head = struct.pack("<IQ6I", slot, valves, *map(len, parts))
        self.send(Kind.OPEN, request, b"".join([head, *parts]))
        return request

    def start(self, handler: Handler, **payload: Any) -> int:
        """Begins a call."""
        call = self.next_id()
        self.send(Kind.CALL, call, payload, handler)
        return call

    def call(self, handler: Handler, **payload: Any) -> Frame:
        """A whole call and its `Reply` or `Error`."""
        return self.wait(Kind.REPLY, Kind.ERROR, id=self.start(handler, **payload))

    def result(self, handler: Handler, **payload: Any) -> Any:
        """The payload of a call that succeeds."""
        frame = self.call(handler, **payload)
        assert frame.kind == Kind.REPLY, frame.payload
        return frame.json

    def failure(self, handler: Handler, **payload: Any) -> Any:
        """The payload of a call that fails."""
        frame = self.call(handler, **payload)
        assert frame.kind == Kind.ERROR, frame.payload
        return frame.json

    def batch(self, request: int, events: list[str], metadata: str = "") -> Frame:
        """The answer to a batch of events, given as texts."""
        call = self.next_id()
        texts = [struct.pack("<I", request), metadata.encode(), *(event.encode() for event in events)]
        payload = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        self.send(Kind.EVENTS, call, payload, Handler.STREAM)
        return self.wait(Kind.REPLY, Kind.ERROR, id=call)

    def streamed_texts(self, request: int, events: list[str], metadata: str = "") -> list[str]:
        """What became of a batch of events, as texts; empty where one was dropped."""
        frame = self.batch(request, events, metadata)
        assert frame.kind == Kind.REPLY, frame.payload
        return texts_of(frame.payload)

    def streamed(self, request: int, events: list[Any]) -> list[Any]:
        """What became of a batch of events."""
        texts = self.streamed_texts(request, [json.dumps(event) for event in events])
        return [json.loads(text) if text else None for text in texts]

    def inlet(self, source: str, body: dict[str, Any] | None = None, **opened: Any) -> Any:
        """The body that the inlet of a freshly loaded filter makes."""
        request = self.open(self.load(source), **opened)
        return self.result(Handler.INLET, request=request, body=body or {})["body"]

    def stream(self, call: int) -> tuple[list[Frame], Frame]:
        """The chunks of a streamed pipe and the frame that ends it."""
        chunks: list[Frame] = []
        while True:
            frame = self.wait(Kind.CHUNK, Kind.END, Kind.ERROR, id=call)
            if frame.kind != Kind.CHUNK:
                return chunks, frame
            chunks.append(frame)

    def pipe(self, source: str, stream: bool, **payload: Any) -> tuple[list[Frame], Frame]:
        """What a freshly loaded pipe answers: chunks, and the frame that ends the answer."""
        request = self.open(self.load(source))
        call = self.start(Handler.PIPE, request=request, body={"model": "mani.en"}, stream=stream, **payload)
        chunks: list[Frame] = []
        while True:
            frame = self.wait(Kind.CHUNK, Kind.END, Kind.REPLY, Kind.ERROR, id=call)
            if frame.kind != Kind.CHUNK:
                return chunks, frame
            chunks.append(frame)

    def ping(self) -> None:
        """Returns once the worker has acted on all that was sent."""
        id = self.next_id()
        self.send(Kind.PING, id)
        self.wait(Kind.PONG, id=id)

    def logged(self) -> list[Frame]:
        """The output that has arrived, after everything sent has been acted on."""
        self.ping()
        return [frame for frame in self.received if frame.kind == Kind.LOG]


def python() -> str:
    """The interpreter of the workers."""
    return os.environ.get("SLUICEGATE_PYTHON", sys.executable)


def core_directory() -> str:
    """Where `sluicegate_core.abi3.so` is."""
    return os.environ["SLUICEGATE_CORE_DIR"]


def encode(kind: Kind, id: int, payload: Any = None, handler: int = 0) -> bytes:
    """One frame as bytes; text and other values as JSON, bytes as they are."""
    data = payload if isinstance(payload, bytes) else b"" if payload is None else json.dumps(payload).encode()
    return HEADER.pack(len(data), id, kind, 0, handler) + data


def texts_of(payload: bytes) -> list[str]:
    """The texts of a payload in which each has its length before it."""
    texts = []
    while payload:
        (length,) = struct.unpack_from("<I", payload)
        texts.append(payload[4 : 4 + length].decode())
        payload = payload[4 + length :]
    return texts


def forms(chunks: list[Frame]) -> list[tuple[str, str]]:
    """Chunks as pairs of their form's name and their text."""
    return [(Item(chunk.flags).name, chunk.payload.decode()) for chunk in chunks]

"""The extension by itself: random values and random bytes, the same in every run, against Python's own `json`."""

from __future__ import annotations

import json
import random
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from driver import core_directory

sys.path.insert(0, str(core_directory()))
import sluicegate_core as core  # noqa: E402

ROUNDS = 3000

TEXTS = ["", "a", 'quote" \\ slash/', "\x00\x1f\x7f", "é\u2028😀", "\ud83d\ude00", "a\ud83db", "x" * 300]

#: Length, id, kind, flags, handler.
HEADER = struct.Struct("<IIBBH")


def value(source: random.Random, depth: int = 0) -> Any:
    """Any value that JSON has a word for."""
    kind = source.randrange(9 if depth < 5 else 6)
    if kind < 6:
        number = source.choice([0, -1, 2**63, -(10**30), 1.5, -0.0, 1e300, 5e-324])
        return [None, True, False, number, source.choice(TEXTS), source.randrange(1000)][kind]
    if kind == 6:
        return [value(source, depth + 1) for _ in range(source.randrange(5))]
    if kind == 7:
        return tuple(value(source, depth + 1) for _ in range(source.randrange(3)))
    keys = [source.choice([*TEXTS, 7, -1, 2.5, True, None]) for _ in range(source.randrange(5))]
    return {key: value(source, depth + 1) for key in keys}


def expected(written: str) -> Any:
    """What a JSON text with halves of surrogate pairs stands for, once each of those is replaced."""
    joined = written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return json.loads(joined, object_pairs_hook=list)


def test_random_values_are_written_as_json_writes_them() -> None:
    source = random.Random(20261121)
    for _ in range(ROUNDS):
        one = value(source)
        ours = json.loads(core.dumps(one), object_pairs_hook=list)
        assert ours == expected(json.dumps(one, ensure_ascii=False)), one


@pytest.fixture
def ends() -> Iterator[tuple[core.Core, socket.socket]]:
    """A worker's end of a connection, and the gateway's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield core.Core(ours.fileno()), theirs


def frame(id: int, kind: int, flags: int, handler: int, payload: bytes) -> bytes:
    return HEADER.pack(len(payload), id, kind, flags, handler) + payload


def test_random_frames_arrive_however_they_are_cut(ends: tuple[core.Core, socket.socket]) -> None:
    connection, gateway = ends
    source = random.Random(20261121)
    for _ in range(200):
        sent, wire = [], b""
        for _ in range(source.randrange(1, 6)):
            one = value(source)
            payload = core.dumps(one)
            sent.append((core.CALL, source.randrange(2**32), 0, core.INLET, json.loads(payload)))
            wire += frame(sent[-1][1], core.CALL, 0, core.INLET, payload)
        received: list[Any] = []
        while wire:
            cut = source.randrange(1, len(wire) + 1)
            gateway.sendall(wire[:cut])
            wire = wire[cut:]
            received += connection.read() or []
        assert [(*head, text.value()) for *head, text in received] == sent


def test_random_bytes_are_an_exception_or_frames() -> None:
    source = random.Random(20261121)
    refused = 0
    for _ in range(ROUNDS):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            kind = source.choice([core.CALL, core.OPEN, core.CREDIT, core.PING, source.randrange(256)])
            payload = source.randbytes(source.randrange(40))
            theirs.sendall(frame(1, kind, 0, 1, payload)[: source.randrange(60)])
            theirs.shutdown(socket.SHUT_WR)
            try:
                frames = core.Core(ours.fileno()).read()
            except ValueError:
                refused += 1
            else:
                assert frames is None or all(len(one) == 5 for one in frames)
    assert refused > 0


def test_random_metadata_is_each_requests_own(ends: tuple[core.Core, socket.socket]) -> None:
    connection, gateway = ends
    source = random.Random(20261122)
    for _ in range(200):
        text = core.dumps({"a": value(source), "b": [value(source)], "c": {"d": value(source)}})
        expected = json.loads(text)
        payload = struct.pack("<IQ6I", 1, 2, 0, 0, len(text), 0, 0, 0) + text
        for _ in range(2):
            gateway.sendall(frame(1, core.OPEN, 0, 0, payload))
            ((*_, opened),) = connection.read() or []
            own, prototype = opened.metadata()
            assert own == expected and prototype.is_untouched(own)
            own["c"]["d"] = own["b"].append(None)
            assert not prototype.is_untouched(own)

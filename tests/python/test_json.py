"""JSON as functions and the gateway hand it to each other."""

from __future__ import annotations

from typing import Any

import pytest
from driver import Handler, Worker

#: How the message for a body begins that cannot be written.
NO_JSON = "filter under_test: inlet returned no JSON: "


def returned(worker: Worker, expression: str, imports: str = "") -> Any:
    """What becomes of a value in a body that a function returns."""
    source = f"{imports}\nclass Filter:\n    def inlet(self, body): return {{'x': {expression}}}\n"
    return worker.inlet(source)["x"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (r"'\ud83d\ude00'", "😀"),
        (r"'a\ud800b'", "a\ufffdb"),
        (r"{'\ud83d\ude00': 1}", {"😀": 1}),
        (r"'\x00\x1f\"\\\n\u2028'", '\x00\x1f"\\\n\u2028'),
        ("10 ** 400", 10**400),
        ("-(2 ** 63) - 1", -(2**63) - 1),
        ("[1.0, 0.1, 1e300, -0.0]", [1.0, 0.1, 1e300, -0.0]),
        ("{1: 'a', 1.5: 'b', True: 'c', None: 'd'}", {"1": "c", "1.5": "b", "null": "d"}),
        ("(1, (2,), {})", [1, [2], {}]),
    ],
)
def test_values_are_written_as_json_knows_them(worker: Worker, expression: str, expected: Any) -> None:
    assert returned(worker, expression) == expected


def test_subclasses_and_well_known_types_are_written_plainly(worker: Worker) -> None:
    imports = """
import collections, dataclasses, datetime, enum, uuid
class Text(str): pass
class Number(int):
    def __repr__(self): return "not a number"
class Color(str, enum.Enum):
    RED = "red"
class Level(enum.IntEnum):
    HIGH = 3
class Plain(enum.Enum):
    A = "a"
@dataclasses.dataclass
class Point:
    x: int = 1
"""
    values = (
        "[Text('t'), Number(5), Color.RED, Level.HIGH, Plain.A, Point(), collections.OrderedDict(a=1),"
        " datetime.datetime(2024, 1, 1), datetime.date(2024, 1, 2), uuid.UUID(int=1), {Color.RED: 1}]"
    )
    assert returned(worker, values, imports) == [
        "t",
        5,
        "red",
        3,
        "a",
        {"x": 1},
        {"a": 1},
        "2024-01-01T00:00:00",
        "2024-01-02",
        "00000000-0000-0000-0000-000000000001",
        {"red": 1},
    ]


@pytest.mark.parametrize(
    ("expression", "kind", "message"),
    [
        ("[{'b': float('nan')}]", "WrongReturn", NO_JSON + "float value is not JSON compliant: NaN at `value.body.x[0].b`"),
        ("object()", "WrongReturn", NO_JSON + "Object of type object is not JSON serializable"),
        ("{(1,): 1}", "WrongReturn", NO_JSON + "keys must be str, int, float, bool or None, not tuple"),
        ("circle()", "RecursionError", "value is circular or nested deeper than 127 levels"),
        ("Shrinking()", "RuntimeError", "dictionary changed size during iteration"),
    ],
)
def test_what_json_cannot_say_is_an_error(worker: Worker, expression: str, kind: str, message: str) -> None:
    source = f"""
def circle():
    circle = []
    circle.append(circle)
    return circle
class Shrinking:
    def model_dump(self):
        BODY.clear()
        return {{}}
BODY = {{}}
class Filter:
    def inlet(self, body):
        BODY["x"] = {expression}
        return {{"x": BODY}} if "Shrinking" in {expression!r} else {{"x": BODY["x"]}}
"""
    failure = worker.failure(Handler.INLET, request=worker.open(worker.load(source)), body={})
    assert (failure["type"], failure["message"]) == (kind, message)


def test_what_arrives_is_what_was_sent(worker: Worker) -> None:
    body = {"big": 10**30, "small": -1, "float": 1.5, "text": "é😀\u0000", "nested": [[{}], None, True], "z": 1, "a": 2}
    source = """
class Filter:
    def inlet(self, body):
        body["types"] = [type(body["big"]).__name__, body["big"] % 7]
        return body
"""
    answer = worker.inlet(source, body)
    assert answer.pop("types") == ["int", 10**30 % 7]
    assert list(answer.items()) == list(body.items())

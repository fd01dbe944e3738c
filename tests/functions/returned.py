"""What functions may return, by its name, and the order that a message gives. The functions that follow it stand behind it."""

import datetime
import decimal
import json
import math

from pydantic import BaseModel


class Model(BaseModel):
    word: str = "from a model"


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def cyclic():
    value = {}
    value["itself"] = value
    return value


VALUES = {
    "None": lambda: None,
    "str": lambda: "text",
    "bytes": lambda: b"bytes",
    "int": lambda: 7,
    "list": lambda: [1, "two"],
    "NaN": lambda: math.nan,
    "Infinity": lambda: -math.inf,
    "set": lambda: {1},
    "datetime": lambda: datetime.datetime(2026, 1, 2, 3, 4, 5),
    "Decimal": lambda: decimal.Decimal("1.5"),
    "model": Model,
    "object": object,
    "cyclic": cyclic,
    "keys": lambda: {1: "one", None: "none", True: "true"},
    "tuple keys": lambda: {(1, 2): "pair"},
    "equal keys": lambda: {1: "one", "1": "other"},
    "surrogate": lambda: "a\ud83db",
    "100 deep": lambda: nested(100),
    "100,000 deep": lambda: nested(100_000),
    "64 MiB": lambda: "x" * (64 * 1024 * 1024),
}


class Order:
    """`place;how;value`, as the last message says it."""

    def __init__(self, body):
        self.place, self.how, self.value = (body["messages"][-1]["content"] + ";;").split(";")[:3]

    def apply(self, place, good):
        if self.place != place:
            return good
        value = VALUES[self.value]()
        return value if self.how == "itself" else {**good, "x": value}



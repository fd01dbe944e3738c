"""Valves: what a call sees, which version, and what is stored. Plain classes where pydantic is not the point."""

from __future__ import annotations

from typing import Any

import pytest
from driver import Handler, Kind, Worker

PLAIN = """
import asyncio
class Filter:
    class Valves:
        def __init__(self, word="default", priority=3):
            self.word = word
            self.priority = priority
    def __init__(self):
        self.valves = self.Valves()
        self.calls = 0
        self.go = asyncio.Event()
    async def inlet(self, body):
        before = self.valves.word
        self.calls += 1
        if body.get("wait"):
            await self.go.wait()
        return {"before": before, "after": self.valves.word, "calls": self.calls}
    def outlet(self, body):
        self.go.set()
        self.valves.word = "changed"
        self.valves = type("Own", (), {"word": "assigned"})()
        return {"word": self.valves.word}
"""


def inlet(worker: Worker, slot: int, version: int, body: dict[str, object] | None = None) -> Any:
    """The body an inlet makes under a version of the valves."""
    return worker.result(Handler.INLET, request=worker.open(slot, valves=version), body=body or {})["body"]


def test_each_request_sees_its_version_also_after_awaiting(worker: Worker) -> None:
    slot = worker.load(PLAIN)
    worker.valves(slot, 1, {"word": "one"})
    first = worker.start(Handler.INLET, request=worker.open(slot, valves=1), body={"wait": True})
    worker.valves(slot, 2, {"word": "two"})
    assert inlet(worker, slot, 2) == {"before": "two", "after": "two", "calls": 2}
    worker.result(Handler.OUTLET, request=worker.open(slot, valves=2), body={})
    assert worker.wait(Kind.REPLY, id=first).json["body"] == {"before": "one", "after": "one", "calls": 2}


def test_an_assignment_lasts_for_its_call(worker: Worker) -> None:
    slot = worker.load(PLAIN)
    worker.valves(slot, 1, {"word": "one"})
    request = worker.open(slot, valves=1)
    assert worker.result(Handler.OUTLET, request=request, body={})["body"] == {"word": "assigned"}
    assert worker.result(Handler.INLET, request=request, body={})["body"]["before"] == "one"


def test_code_outside_any_call_reads_the_newest(worker: Worker) -> None:
    source = """
import threading
class Filter:
    class Valves:
        def __init__(self, word="default"):
            self.word = word
    def __init__(self):
        self.valves = self.Valves(word="constructor")
    def inlet(self, body):
        seen = []
        thread = threading.Thread(target=lambda: seen.append(self.valves.word))
        thread.start()
        thread.join()
        return {"call": self.valves.word, "thread": seen[0]}
"""
    slot = worker.load(source)
    worker.valves(slot, 1, {"word": "one"})
    worker.valves(slot, 2, {"word": "two"})
    assert inlet(worker, slot, 1) == {"call": "one", "thread": "two"}
    worker.send(Kind.FORGET, slot, {"versions": [1, 2]})
    assert inlet(worker, slot, 2) == {"call": "two", "thread": "two"}
    request = worker.open(slot, valves=1)
    assert worker.failure(Handler.INLET, request=request, body={})["message"] == "valves version 1 is not there"


def test_module_level_valves_without_an_attribute_are_hydrated_and_injected(worker: Worker) -> None:
    source = """
class Valves:
    def __init__(self, max_turns=4):
        self.max_turns = max_turns
file_handler = True
class Filter:
    def inlet(self, body, valves, __valves__):
        return {"turns": [valves.max_turns, __valves__.max_turns, self.valves.max_turns]}
"""
    slot, ready = worker.try_load(source)
    assert (ready.json["has_valves"], ready.json["file_handler"]) == (True, True)
    worker.valves(slot, 1, {"max_turns": 9})
    assert inlet(worker, slot, 1) == {"turns": [9, 9, 9]}


def test_a_property_of_the_functions_own_is_assigned(worker: Worker) -> None:
    source = """
class Filter:
    class Valves:
        def __init__(self, word="default"):
            self.word = word
    @property
    def valves(self):
        return self._valves
    @valves.setter
    def valves(self, valves):
        self._valves = valves
        self.loud = valves.word.upper()
    def inlet(self, body):
        return {"loud": self.loud}
"""
    slot, ready = worker.try_load(source)
    assert len(ready.json["warnings"]) == 1
    worker.valves(slot, 1, {"word": "one"})
    assert inlet(worker, slot, 1) == {"loud": "ONE"}


def test_other_instances_of_the_class_keep_plain_attributes(worker: Worker) -> None:
    source = """
class Filter:
    class Valves:
        def __init__(self, word="default"):
            self.word = word
    def __init__(self):
        self.valves = self.Valves()
    def inlet(self, body):
        other = Filter()
        other.valves = self.Valves(word="mine")
        return {"other": other.valves.word, "own": self.valves.word}
"""
    slot = worker.load(source)
    worker.valves(slot, 1, {"word": "one"})
    assert inlet(worker, slot, 1) == {"other": "mine", "own": "one"}


def test_containers_in_values_are_not_shared_between_calls(worker: Worker) -> None:
    source = """
class Filter:
    class Valves:
        def __init__(self, words=()):
            self.words = words
    def inlet(self, body):
        self.valves.words.append("x")
        return {"words": self.valves.words}
"""
    slot = worker.load(source)
    worker.valves(slot, 1, {"words": ["a"]})
    assert inlet(worker, slot, 1) == inlet(worker, slot, 1) == {"words": ["a", "x"]}


def test_plain_valves_classes_have_priority_but_no_schema(worker: Worker) -> None:
    ready = worker.try_load(PLAIN)[1].json
    assert (ready["has_valves"], ready["valves_spec"], ready["priority"]) == (True, None, 3)


@pytest.mark.needs("pydantic")
def test_hydration_failure_is_the_calls_failure(worker: Worker) -> None:
    source = """
from pydantic import BaseModel
class Filter:
    class Valves(BaseModel):
        key: str
        priority: int = 10
    def __init__(self):
        self.valves = None
    def inlet(self, body):
        return {"key": self.valves.key}
"""
    slot, ready = worker.try_load(source)
    assert ready.json["priority"] == 0
    assert ready.json["valves_spec"]["required"] == ["key"]
    worker.valves(slot, 0, {})
    failure = worker.failure(Handler.INLET, request=worker.open(slot), body={})
    assert failure["message"].startswith("1 validation error for Valves\nkey\n  Field required")
    worker.valves(slot, 1, {"key": "k"})
    assert inlet(worker, slot, 1) == {"key": "k"}


@pytest.mark.needs("pydantic")
def test_stored_none_is_dropped_for_pipes_only(worker: Worker) -> None:
    source = """
from pydantic import BaseModel
class {name}:
    class Valves(BaseModel):
        n: int = 1
    def {handler}(self, body):
        return {{"n": self.valves.n}}
"""
    pipe = worker.load(source.format(name="Pipe", handler="pipe"))
    worker.valves(pipe, 1, {"n": None})
    request = worker.open(pipe, valves=1)
    assert worker.result(Handler.PIPE, request=request, body={}, stream=False) == {"data": {"n": 1}}
    filter = worker.load(source.format(name="Filter", handler="inlet"))
    worker.valves(filter, 1, {"n": None})
    failure = worker.failure(Handler.INLET, request=worker.open(filter, valves=1), body={})
    assert failure["type"] == "ValidationError"


@pytest.mark.needs("pydantic")
def test_filters_that_are_models_themselves_see_their_version(worker: Worker) -> None:
    source = """
from pydantic import BaseModel
class Filter(BaseModel):
    class Valves(BaseModel):
        word: str = "default"
    valves: Valves = Valves()
    def inlet(self, body):
        seen = self.valves.word
        self.valves = self.Valves(word="assigned")
        return {"seen": seen, "then": self.valves.word}
"""
    slot = worker.load(source)
    for version, word in enumerate(("one", "two"), start=1):
        worker.valves(slot, version, {"word": word})
    assert inlet(worker, slot, 1) == {"seen": "one", "then": "assigned"}
    assert inlet(worker, slot, 2) == {"seen": "two", "then": "assigned"}


@pytest.mark.needs("pydantic")
def test_user_valves_are_an_instance_with_dict_manners(worker: Worker) -> None:
    source = """
from pydantic import BaseModel
class Filter:
    class UserValves(BaseModel):
        quota: int = 5
        get: str = "a field called get"
    class Valves(BaseModel):
        pass
    def inlet(self, body, __user__):
        valves = __user__["valves"]
        return {
            "is": isinstance(valves, self.UserValves), "name": type(valves).__name__, "dump": valves.model_dump(),
            "dict": dict(valves), "again": self.UserValves(**valves).quota, "item": valves["quota"],
            "in": ["quota" in valves, "other" in valves], "attribute": __user__.valves.quota, "get": valves.get,
            "validated": self.UserValves.model_validate(valves).quota,
        }
"""
    slot = worker.load(source)
    request = worker.open(slot, user_valves={"quota": 7})
    fields = {"quota": 7, "get": "a field called get"}
    assert worker.result(Handler.INLET, request=request, body={})["body"] == {
        "is": True,
        "name": "UserValves",
        "dump": fields,
        "dict": fields,
        "again": 7,
        "item": 7,
        "in": [True, False],
        "attribute": 7,
        "get": "a field called get",
        "validated": 7,
    }
    request = worker.open(slot, user_valves={"quota": "no number"})
    assert worker.result(Handler.INLET, request=request, body={})["body"]["attribute"] == 5


@pytest.mark.needs("pydantic")
def test_check_valves_stores_what_was_given_and_tells_the_order(worker: Worker) -> None:
    source = """
from pydantic import BaseModel
class Filter:
    class Valves(BaseModel):
        priority: int = 2
        word: str = "default"
    class UserValves(BaseModel):
        tone: str = "calm"
    def inlet(self, body): return body
"""
    slot = worker.load(source)
    values = {"word": "w", "priority": None, "unknown": 1}
    assert worker.result(Handler.CHECK_VALVES, slot=slot, values=values, user=False) == {
        "stored": {"word": "w"},
        "priority": 2,
    }
    checked = worker.result(Handler.CHECK_VALVES, slot=slot, values={"priority": "7"}, user=False)
    assert checked == {"stored": {"priority": 7}, "priority": 7}
    failure = worker.failure(Handler.CHECK_VALVES, slot=slot, values={"priority": "high"}, user=False)
    assert failure["type"] == "ValidationError"
    checked = worker.result(Handler.CHECK_VALVES, slot=slot, values={"tone": "loud"}, user=True)
    assert checked["stored"] == {"tone": "loud"}


@pytest.mark.needs("pydantic")
def test_spec_resolves_options_by_class_method(worker: Worker) -> None:
    source = """
from pydantic import BaseModel, Field
class Filter:
    class Valves(BaseModel):
        a: str = Field("x", json_schema_extra={"input": {"type": "select", "options": "choices"}})
        b: str = Field("x", json_schema_extra={"input": {"type": "select", "options": ["u", "v"]}})
        @classmethod
        def choices(cls, __user__=None):
            return ["p", "q"]
    def inlet(self, body): return body
"""
    slot = worker.load(source)
    spec = worker.result(Handler.VALVES_SPEC, slot=slot, user=False)["spec"]
    options = [spec["properties"][name]["input"]["options"] for name in ("a", "b")]
    assert options == [["p", "q"], ["u", "v"]]


@pytest.mark.needs("pydantic")
def test_options_that_cannot_be_listed_leave_the_rest_of_the_form(worker: Worker) -> None:
    source = """
from pydantic import BaseModel, Field
class Filter:
    class Valves(BaseModel):
        a: str = Field("x", json_schema_extra={"input": {"type": "select", "options": "awaited"}})
        b: str = Field("x", json_schema_extra={"input": {"type": "select", "options": "failing"}})
        @classmethod
        async def awaited(cls, __user__=None):
            return [__user__["name"]]
        @classmethod
        def failing(cls):
            raise ValueError("no network")
"""
    slot = worker.load(source)
    spec = worker.result(Handler.VALVES_SPEC, slot=slot, user=False, user_entry={"name": "N"})["spec"]
    options = [spec["properties"][name]["input"]["options"] for name in ("a", "b")]
    assert options == [["N"], []]


@pytest.mark.needs("pydantic")
def test_secrets_are_stored_as_what_they_hold_and_encrypted_ones_are_marked(worker: Worker) -> None:
    source = """
from pydantic import BaseModel, SecretStr
from pydantic_core import core_schema
class EncryptedStr(str):
    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
class Filter:
    class Valves(BaseModel):
        pin: SecretStr = SecretStr("")
        code: EncryptedStr | None = None
"""
    slot = worker.load(source)
    checked = worker.result(Handler.CHECK_VALVES, slot=slot, values={"pin": "p", "code": "c"}, user=False)
    assert checked["stored"] == {"pin": "p", "code": "c"}
    spec = worker.result(Handler.VALVES_SPEC, slot=slot, user=False)["spec"]
    assert spec["properties"]["code"]["input"] == {"type": "password"}


def test_user_valves_without_a_default_fail_nobody_who_does_not_look(worker: Worker) -> None:
    source = """
from pydantic import BaseModel
class Filter:
    class UserValves(BaseModel):
        key: str
        tone: str = "plain"
    def inlet(self, body, __user__):
        return {"tone": __user__["valves"].tone, "key": getattr(__user__["valves"], "key", "none")}
"""
    slot = worker.load(source)
    for own, expected in [
        ({}, {"tone": "plain", "key": "none"}),
        ({"key": "k"}, {"tone": "plain", "key": "k"}),
        ({"key": 7}, {"tone": "plain", "key": 7}),
    ]:
        request = worker.open(slot, user_valves=own)
        assert worker.result(Handler.INLET, request=request, body={})["body"] == expected

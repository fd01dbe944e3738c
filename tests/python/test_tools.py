"""Tools: what models are told of them, how they are called, and how pipes call them."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from driver import Handler, Kind, Worker

pytestmark = pytest.mark.needs("pydantic")

TOOLBOX = '''
from enum import Enum
from typing import Any, Literal, Optional, Union

from pydantic import BaseModel, Field

class Unit(Enum):
    c = "C"
    k = "K"

class Place(BaseModel):
    city: str
    inner: Optional["Place"] = None

class Tools:
    class Valves(BaseModel):
        unit: str = "C"

    class UserValves(BaseModel):
        lang: str = "en"

    def __init__(self):
        self.valves = self.Valves()
        self.citation = True

    def add(self, a: int, b: float = 1.5, __user__: dict = None):
        """Add two.
        More.
        :param a: first
        :param b: second number
        """
        return f"{a + b} {self.valves.unit} {__user__['valves'].lang}"

    def shapes(self, s: Optional[str] = None, l: list[str] = [], m: Literal["x", "y"] = "x", n=3):
        return {"given": [s, l, m, n]}

    async def rich(self, place: Place, unit: Unit, either: Union[int, str], anything: Any,
                   words: str = Field("w", description="some words")):
        """Rich."""

    def open_ended(self, *args, **kwargs):
        return sorted(kwargs)

    def _private(self):
        """not for models"""
'''


def learnt(worker: Worker, source: str, id: str = "tool:box") -> Any:
    """What the loader says of a source that loads."""
    _, answer = worker.try_load(dedent(source), id)
    assert answer.kind == Kind.READY, answer.payload
    return answer.json


def specs(worker: Worker) -> dict[str, Any]:
    """The specs of the toolbox by name."""
    return {spec["name"]: spec for spec in learnt(worker, TOOLBOX)["specs"]}


def tool(worker: Worker, source: str, name: str, opened: dict[str, Any] | None = None, **payload: Any) -> Any:
    """The result of one callable of freshly loaded tools."""
    request = worker.open(worker.load(dedent(source), "tool:box"), **(opened or {}))
    return worker.result(Handler.TOOL, request=request, name=name, **payload)["result"]


def test_tools_are_a_kind_of_their_own(worker: Worker) -> None:
    assert learnt(worker, TOOLBOX)["kind"] == "tools"
    _, answer = worker.try_load(TOOLBOX, "box")
    assert answer.json["message"] == "No Function class found in the module"
    _, answer = worker.try_load("class Filter: pass", "tool:box")
    assert answer.json["message"] == "No Tools class found in the module"


def test_the_module_is_called_after_the_tool(worker: Worker) -> None:
    source = "class Tools:\n    def name(self, __id__):\n        return [__name__, __id__]"
    assert tool(worker, source, "name") == ["tool_box", "box"]


def test_public_callables_are_listed_by_name(worker: Worker) -> None:
    assert list(specs(worker)) == ["add", "open_ended", "rich", "shapes"]


def test_docstring_and_hints_describe_a_tool(worker: Worker) -> None:
    spec = specs(worker)["add"]
    assert spec["description"] == "Add two.\nMore."
    assert spec["raw_description"] == "Add two.\n        More.\n        "
    assert spec["parameters"] == {
        "properties": {
            "a": {"description": "first", "type": "integer"},
            "b": {"default": 1.5, "description": "second number", "type": "number"},
        },
        "required": ["a"],
        "type": "object",
    }


def test_optional_and_unhinted_parameters_have_a_plain_type(worker: Worker) -> None:
    spec = specs(worker)["shapes"]
    assert spec["description"] == ""
    assert spec["raw_description"] == "shapes"
    assert spec["parameters"] == {
        "properties": {
            "s": {"type": "string"},
            "l": {"default": [], "items": {"type": "string"}, "type": "array"},
            "m": {"default": "x", "enum": ["x", "y"], "type": "string"},
            "n": {"default": 3, "type": "string"},
        },
        "type": "object",
    }


def test_classes_are_written_out_where_they_stand(worker: Worker) -> None:
    spec = specs(worker)["rich"]["parameters"]
    assert spec["properties"] == {
        "place": {
            "properties": {
                "city": {"type": "string"},
                "inner": {"anyOf": [{"type": "object"}, {"type": "null"}], "default": None},
            },
            "required": ["city"],
            "type": "object",
        },
        "unit": {"enum": ["C", "K"], "type": "string"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "anything": {"type": "string"},
        "words": {"default": "w", "description": "some words", "type": "string"},
    }
    assert spec["required"] == ["place", "unit", "either", "anything"]


def test_open_ended_parameters_are_required_by_name(worker: Worker) -> None:
    spec = specs(worker)["open_ended"]["parameters"]
    assert spec["required"] == ["args", "kwargs"]


def test_a_tool_gets_its_parameters_and_what_it_asks_of_the_host(worker: Worker) -> None:
    opened = {"user_valves": {"lang": "no"}}
    assert tool(worker, TOOLBOX, "add", opened, parameters={"a": 5}) == "6.5 C no"
    assert tool(worker, TOOLBOX, "shapes", parameters={"s": "t", "other": 1}) == {"given": ["t", [], "x", 3]}


def test_a_model_cannot_fill_the_hosts_parameters(worker: Worker) -> None:
    forged = {"a": 1, "__user__": {"valves": None}}
    assert tool(worker, TOOLBOX, "add", parameters=forged) == "2.5 C en"


def test_a_tool_is_told_of_messages_and_files(worker: Worker) -> None:
    source = """
    class Tools:
        async def look(self, __messages__, __files__, __chat_id__, __model__):
            return [__messages__, __files__, __chat_id__, __model__["id"]]
    """
    messages = [{"role": "user", "content": "hi"}]
    opened = {"metadata": {"chat_id": "c1", "files": [{"id": "f"}]}}
    assert tool(worker, source, "look", opened, messages=messages) == [messages, [{"id": "f"}], "c1", "mani.en"]


def test_an_unknown_callable_is_an_error(worker: Worker) -> None:
    request = worker.open(worker.load(TOOLBOX, "tool:box"))
    failure = worker.failure(Handler.TOOL, request=request, name="_private", parameters={})
    assert failure["type"] == "Unknown"


def test_hints_may_name_nested_classes_and_nothing_that_is_known(worker: Worker) -> None:
    source = """
    from pydantic import BaseModel

    class Tools:
        class Place(BaseModel):
            city: str

        def list(self, place: Place, names: list[str], lost: Unknown = None):
            return place
    """
    properties = learnt(worker, source)["specs"][0]["parameters"]["properties"]
    assert properties == {
        "place": {"properties": {"city": {"type": "string"}}, "required": ["city"], "type": "object"},
        "names": {"items": {"type": "string"}, "type": "array"},
        "lost": {"type": "string"},
    }


def test_a_property_that_fails_is_no_tool(worker: Worker) -> None:
    source = """
    class Tools:
        @property
        def user(self):
            raise LookupError("no request")

        def works(self):
            return 1
    """
    assert [spec["name"] for spec in learnt(worker, source)["specs"]] == ["works"]


def test_a_page_goes_to_the_user_and_a_word_to_the_model(worker: Worker) -> None:
    source = """
    class Page:
        status_code = 200
        media_type = "text/html"
        body = b"<b>card</b>"
        headers = {"content-type": "text/html", "content-disposition": "inline"}

    class Tools:
        def card(self):
            return Page()

        def told(self):
            return Page(), {"points": 3}
    """
    assert tool(worker, source, "card")["code"] == "ui_component"
    assert worker.wait(Kind.EMIT).json == {"type": "embeds", "data": {"embeds": ["<b>card</b>"]}}
    assert tool(worker, source, "told") == {"points": 3}


def test_results_that_are_no_json_become_text(worker: Worker) -> None:
    source = """
    from datetime import date

    class Tools:
        def when(self):
            return {"day": date(2026, 1, 2), "set": {1}, "odd": object}
    """
    result = tool(worker, source, "when")
    assert result["day"] == "2026-01-02" and result["set"] == [1] and "object" in result["odd"]


PIPE = """
import inspect

class Pipe:
    async def pipe(self, body, __tools__):
        add = __tools__["add"]
        try:
            result = await add["callable"](a=1, b=5)
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
        return {"keys": sorted(add), "signature": str(inspect.signature(add["callable"])), "result": result}
"""


def entry() -> dict[str, Any]:
    """A tool as the gateway hands it to a pipe."""
    parameters = {
        "properties": {"a": {"type": "integer"}, "b": {"default": 1.5, "type": "number"}},
        "required": ["a"],
        "type": "object",
    }
    spec = {"name": "add", "description": "Add.", "parameters": parameters}
    metadata = {"file_handler": False, "citation": True}
    return {"name": "add", "method": "add", "tool_id": "box", "spec": spec, "metadata": metadata}


@pytest.mark.parametrize(
    ("answer", "result"),
    [({"result": "sum=6"}, "sum=6"), ({"error": {"message": "tool broke"}}, "Refusal: tool broke")],
)
def test_a_pipe_calls_tools_by_way_of_the_gateway(worker: Worker, answer: dict[str, Any], result: str) -> None:
    request = worker.open(worker.load(PIPE))
    call = worker.start(Handler.PIPE, request=request, body={}, stream=False, tools=[entry()])
    question = worker.wait(Kind.CALLBACK)
    assert question.json["method"] == "tools.call"
    arguments = question.json["arguments"]
    assert arguments["metadata"]["chat_id"] == ""
    asked = {name: arguments[name] for name in ("tool_id", "name", "parameters", "messages")}
    assert asked == {"tool_id": "box", "name": "add", "parameters": {"a": 1, "b": 5}, "messages": None}
    worker.send(Kind.CALLBACK_REPLY, question.id, answer)
    given = worker.wait(Kind.REPLY, Kind.ERROR, id=call).json["data"]
    assert given == {
        "keys": ["callable", "metadata", "spec", "tool_id"],
        "signature": "(a: int, b: float = 1.5)",
        "result": result,
    }

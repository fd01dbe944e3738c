"""Loading: what is learnt of a function, and what is said of one that cannot be loaded."""

from __future__ import annotations

import pytest
from driver import Handler, Kind, Worker

PASS_ON = "class Filter:\n    def inlet(self, body):\n        return body\n"


def failed(worker: Worker, source: str) -> str:
    """The text for a source that cannot be loaded."""
    _, answer = worker.try_load(source)
    assert answer.kind == Kind.FAILED
    return str(answer.json["message"])


def test_ready_tells_what_was_learnt(worker: Worker) -> None:
    source = """
class Filter:
    toggle = True
    icon = "data:image/svg"
    file_handler = True
    inlet = "not callable"

    async def outlet(self, body, __user__=None):
        return body

    def stream(self, event):
        return event
"""
    learnt = worker.try_load(source)[1].json
    assert learnt["kind"] == "filter"
    assert learnt["handlers"] == {
        "stream": {"async": False, "generator": False, "parameters": ["event"]},
        "outlet": {"async": True, "generator": False, "parameters": ["body", "__user__"]},
    }
    assert (learnt["toggle"], learnt["icon"], learnt["file_handler"]) == (True, "data:image/svg", True)
    assert (learnt["has_valves"], learnt["valves_spec"], learnt["priority"]) == (False, None, 0)
    assert (learnt["pipes"], learnt["needs_loop"], learnt["warnings"]) == ("none", False, [])


def test_enumerations_with_the_name_of_a_kind_are_none(worker: Worker) -> None:
    source = "from enum import Enum\nclass Filter(Enum):\n    A = 1\nclass Action:\n    def action(self): return 1\n"
    assert worker.try_load(source)[1].json["kind"] == "action"


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ("pipes = [{'id': 'a', 'name': 'A'}]", "list"),
        ("def pipes(self): return []", "callable"),
        ("pipes = None", "list"),
    ],
)
def test_pipes_are_a_list_or_callable(worker: Worker, body: str, form: str) -> None:
    learnt = worker.try_load(f"class Pipe:\n    {body}\n    def pipe(self, body): yield 'x'\n")[1].json
    assert learnt["pipes"] == form
    assert learnt["handlers"]["pipe"]["generator"] is True


def test_pipe_comes_before_filter_before_action(worker: Worker) -> None:
    both = "class Action:\n    pass\nclass Filter:\n    pass\n"
    assert worker.try_load(both)[1].json["kind"] == "filter"
    assert worker.try_load(both + "class Pipe:\n    pass\n")[1].json["kind"] == "pipe"


def test_unfilled_parameter_is_a_warning(worker: Worker) -> None:
    learnt = worker.try_load("class Filter:\n    def inlet(self, body, response): return body\n")[1].json
    assert learnt["warnings"] == ["`Filter.inlet` needs `response`, which nothing fills"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Filtre: pass", "No Function class found in the module"),
        ("import module_that_is_nowhere", "No module named 'module_that_is_nowhere'"),
        ("x = undefined_name", "name 'undefined_name' is not defined"),
        ("class Pipe:\n    def __init__(self): raise RuntimeError('need config')", "need config"),
        ("class Filter:\n    def inlet(self, body)\n", "expected ':' (<string>, line 2)"),
        ("return 1", "'return' outside function (<string>, line 1)"),
        ("raise SystemExit('bye')", "bye"),
    ],
)
def test_load_errors_have_the_exceptions_text(worker: Worker, source: str, message: str) -> None:
    assert failed(worker, source) == message


def test_missing_compatibility_names_say_what_is_there(worker: Worker) -> None:
    text = failed(worker, "from open_webui.utils.misc import no_such_name")
    assert "no_such_name" in text and "get_last_user_message" in text
    text = failed(worker, "from open_webui.no_such_part.vector import thing")
    assert "No module named 'open_webui.no_such_part'" in text and "open_webui.utils.misc" in text


def test_failed_load_leaves_the_serving_version_alone(worker: Worker) -> None:
    slot = worker.load(PASS_ON)
    failed(worker, "raise ValueError('broken')")
    worker.try_load("raise ValueError('broken')", function_id="never_loaded")
    source = """
import sys
class Filter:
    def inlet(self, body):
        names = sorted(name for name in sys.modules if name.startswith("function_"))
        return {"names": names, "whole": hasattr(sys.modules["function_under_test"], "Filter")}
"""
    other = worker.open(worker.load(source, function_id="other"))
    known = worker.result(Handler.INLET, request=other, body={})["body"]
    assert known == {"names": ["function_other", "function_under_test"], "whole": True}
    assert worker.result(Handler.INLET, request=worker.open(slot), body={"a": 1})["body"] == {"a": 1}


def test_module_finds_itself_its_file_and_its_source(worker: Worker) -> None:
    source = """
import inspect, os, sys
assert sys.modules[__name__].__name__ == "function_under_test"

class Filter:
    def inlet(self, body):
        body["exists"] = os.path.exists(__file__)
        body["source"] = inspect.getsource(type(self).inlet).splitlines()[0].strip()
        return body
"""
    assert worker.inlet(source) == {"exists": True, "source": "def inlet(self, body):"}


def test_annotations_are_not_evaluated(worker: Worker) -> None:
    assert (
        worker.inlet("class Filter:\n    def inlet(self, body: NotImported) -> Nor['This']:\n        return body\n")
        == {}
    )


def test_import_rewrite_touches_import_statements_only(worker: Worker) -> None:
    source = """
from configparser import ConfigParser
from utils.misc import get_last_user_message
NOTE = "from utils and from config"

class Filter:
    def inlet(self, body):
        body["last"] = get_last_user_message(body["messages"])
        body["note"] = NOTE
        return body
"""
    body = worker.inlet(source, {"messages": [{"role": "user", "content": "hi"}]})
    assert (body["last"], body["note"]) == ("hi", "from utils and from config")


def test_constructor_has_the_running_loop(worker: Worker) -> None:
    source = """
import asyncio
class Filter:
    def __init__(self):
        self.loop = asyncio.get_running_loop()
    async def inlet(self, body):
        body["same"] = asyncio.get_running_loop() is self.loop
        return body
"""
    assert worker.inlet(source) == {"same": True}


def test_unloaded_function_is_gone_from_the_module_table(worker: Worker) -> None:
    slot = worker.load(PASS_ON, function_id="sibling")
    worker.send(Kind.UNLOAD, slot)
    source = """
import sys
class Filter:
    def inlet(self, body):
        return {"there": "function_sibling" in sys.modules}
"""
    assert worker.inlet(source) == {"there": False}


def test_function_base_class_of_older_documents(worker: Worker) -> None:
    source = (
        "from open_webui.functions import Function\nclass Pipe(Function):\n    def pipe(self, body): return 'hello'\n"
    )
    assert worker.pipe(source, stream=False)[1].json == {"text": "hello"}


def test_siblings_of_a_group_are_found_as_the_request_says(worker: Worker) -> None:
    source = """
import sys
class Filter:
    def inlet(self, body):
        return {"found": sorted(name for name in sys.modules if name.startswith("function_"))}
"""
    one, two = worker.load(source, "one"), worker.load(source, "two")
    for siblings, found in [
        ([one], ["function_one"]),
        ([one, two], ["function_one", "function_two"]),
        ([one, 999], ["function_one"]),
    ]:
        request = worker.open(one, siblings=siblings)
        assert worker.result(Handler.INLET, request=request, body={})["body"] == {"found": found}

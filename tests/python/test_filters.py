"""Filter and action handlers: what they are given, what becomes of what they return or raise."""

from __future__ import annotations

import pytest
from driver import Handler, Kind, Worker

DESCRIBE = """
ABSENT = "(absent)"

def kind(value):
    return value if value == ABSENT else type(value).__name__
"""


def test_sync_and_async_handlers_of_every_kind(worker: Worker) -> None:
    source = """
import asyncio
class Filter:
    def inlet(self, body):
        body["steps"] = ["inlet"]
        return body
    async def request(self, body):
        await asyncio.sleep(0)
        body["steps"].append("request")
        return body
    async def outlet(self, body):
        return {"new": True}
    def stream(self, event):
        event["seen"] = True
        return event
"""
    request = worker.open(worker.load(source))
    first = worker.result(Handler.INLET, request=request, body={})
    assert "metadata" not in first
    assert worker.result(Handler.REQUEST, request=request, body=first["body"])["body"] == {
        "steps": ["inlet", "request"]
    }
    assert worker.streamed(request, [{"a": 1}]) == [{"a": 1, "seen": True}]
    assert worker.result(Handler.OUTLET, request=request, body={"old": 1})["body"] == {"new": True}


def test_parameters_are_filled_by_signature(worker: Worker) -> None:
    source = (
        DESCRIBE
        + """
class Filter:
    def inlet(self, body, __user__, __metadata__, __request__, __model__, __id__, __event_emitter__, __event_call__,
              __chat_id__=ABSENT, __message_id__=ABSENT, __oauth_token__=ABSENT, __session_id__=ABSENT,
              __files__=ABSENT, __tools__=ABSENT, __valves__=ABSENT, own=ABSENT):
        given = {name: kind(value) for name, value in locals().items() if name not in ("self", "body")}
        body["given"] = given
        body["one"] = body["metadata"] is __metadata__
        return body
"""
    )
    body = worker.inlet(source)
    absent = {name: "(absent)" for name in ("__session_id__", "__files__", "__tools__", "__valves__", "own")}
    assert body["one"] is True
    assert body["given"] == absent | {
        "__user__": "dict",
        "__metadata__": "dict",
        "__request__": "Request",
        "__model__": "dict",
        "__id__": "str",
        "__event_emitter__": "function",
        "__event_call__": "function",
        "__chat_id__": "str",
        "__message_id__": "NoneType",
        "__oauth_token__": "NoneType",
    }


def test_kwargs_receive_the_context_names_that_are_not_listed(worker: Worker) -> None:
    source = "class Filter:\n    def inlet(self, body, __id__, **kwargs):\n        return {'names': sorted(kwargs)}\n"
    names = worker.inlet(source)["names"]
    assert "__user__" in names and "__event_emitter__" in names
    assert "body" not in names and "__id__" not in names


def test_kwargs_of_a_decorators_wrapper_get_the_body_alone(worker: Worker) -> None:
    source = """
import functools
def hiding(handler):
    async def wrapper(*args, **kwargs):
        return await handler(*args, **kwargs)
    return wrapper
def showing(handler):
    @functools.wraps(handler)
    async def wrapper(*args, **kwargs):
        return await handler(*args, **kwargs)
    return wrapper
class Filter:
    @hiding
    async def inlet(self, body, __user__=None):
        return {"user": __user__}
    @showing
    async def outlet(self, body, __user__=None):
        return {"user": __user__["name"]}
"""
    request = worker.open(worker.load(source))
    assert worker.result(Handler.INLET, request=request, body={})["body"] == {"user": None}
    assert worker.result(Handler.OUTLET, request=request, body={})["body"] == {"user": "Ann"}


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("self, body, valves", "Filter.inlet() missing 1 required positional argument: 'valves'"),
        ("self, payload", "Filter.inlet() got an unexpected keyword argument 'body'"),
    ],
)
@pytest.mark.parametrize("prefix", ["def", "async def"])
def test_arguments_that_do_not_fit_read_as_in_python(worker: Worker, prefix: str, signature: str, message: str) -> None:
    request = worker.open(worker.load(f"class Filter:\n    {prefix} inlet({signature}): return {{}}\n"))
    failure = worker.failure(Handler.INLET, request=request, body={})
    assert (failure["type"], failure["message"]) == ("TypeError", message)


def test_user_is_a_dict_with_attributes_and_the_request_is_described(worker: Worker) -> None:
    source = """
import copy, json
class Filter:
    def inlet(self, body, __user__, __request__, __model__, __metadata__):
        model = __metadata__["model"]
        return {
            "user": [__user__["id"], __user__.name, copy.deepcopy(__user__)["email"], json.dumps(__user__)[:1]],
            "request": [__request__.method, __request__.url.path, __request__.headers.get("user-agent"),
                        str(__request__.base_url), __request__.client.host, __request__.query_params["a"]],
            "state": ["mani.en" in __request__.app.state.MODELS, __request__.app.url_path_for("x", id=1)],
            "model": [model.split(".")[-1], str(model), model == "mani.en", model["name"], f"{model}", __model__["id"]],
        }
"""
    assert worker.inlet(source) == {
        "user": ["u1", "Ann", "a@example.test", "{"],
        "request": ["POST", "/api/chat/completions", "test", "http://127.0.0.1:8080/", "127.0.0.1", "1"],
        "state": [True, "/x"],
        "model": ["en", "mani.en", True, "English", "mani.en", "mani.en"],
    }


def test_metadata_travels_with_body_or_without(worker: Worker) -> None:
    source = """
class Filter:
    def inlet(self, body, __metadata__):
        assert body["metadata"] is __metadata__
        __metadata__["note"] = 1
        return {"replaced": True}
    def outlet(self, body, __metadata__):
        body["seen"] = [__metadata__.get("note"), __metadata__.get("other"), "metadata" in body]
        body["metadata"] = {"mine": True}
        return body
"""
    request = worker.open(worker.load(source))
    first = worker.result(Handler.INLET, request=request, body={})
    assert first["body"] == {"replaced": True}
    assert first["metadata"]["note"] == 1
    changed = {**first["metadata"], "other": 2}
    second = worker.result(Handler.OUTLET, request=request, body={}, metadata=changed)
    assert second == {"body": {"seen": [1, 2, False]}, "metadata": {"mine": True}}


@pytest.mark.parametrize(
    ("change", "is_told"),
    [
        ("pass", False),
        ("__metadata__['model'] == 'mani.en' and list(__metadata__.values())", False),
        ("body['metadata'] = __metadata__", False),
        ("body.pop('metadata')", False),
        ("__metadata__['chat_id'] = 'other'", True),
        ("__metadata__['features']['web_search'] = True", True),
        ("__metadata__['files'][0]['name'] = 'b.txt'", True),
        ("__metadata__['files'].pop()", True),
        ("__metadata__['flag'] = 1", True),
        ("__metadata__['chat_id'] = __metadata__.pop('chat_id')", True),
        ("__metadata__.clear()", True),
        ("body['metadata'] = {}", True),
        ("__metadata__['model']['name'] = 'Other'", True),
        ("__metadata__['features'] = None", True),
    ],
)
def test_metadata_is_told_only_if_it_changed(worker: Worker, change: str, is_told: bool) -> None:
    source = f"class Filter:\n    def inlet(self, body, __metadata__):\n        {change}\n        return body\n"
    metadata = {
        "chat_id": "c",
        "flag": True,
        "features": {},
        "files": [{"name": "a.txt"}],
        "model": {"id": "mani.en", "name": "English"},
    }
    slot = worker.load(source)
    # What one request does to it, the next must not see.
    for _ in range(2):
        made = worker.result(Handler.INLET, request=worker.open(slot, metadata=metadata), body={"n": 1})
        assert ("metadata" in made) is is_told and made["body"] == {"n": 1}


def test_metadata_that_changed_is_told_again_until_it_is_new(worker: Worker) -> None:
    source = """
class Filter:
    def inlet(self, body, __metadata__):
        __metadata__["chat_id"] = body["to"]
        return body
"""
    request = worker.open(worker.load(source), metadata={"chat_id": "first"})
    told = [
        worker.result(Handler.INLET, request=request, body={"to": to})["metadata"]["chat_id"]
        for to in ("second", "first")
    ]
    assert told == ["second", "first"]


def test_metadata_that_is_no_json_stays_with_the_function(worker: Worker) -> None:
    source = """
class Filter:
    def inlet(self, body, __metadata__):
        __metadata__["lock"] = object()
        __metadata__["plain"] = 1
        return body
    def outlet(self, body, __metadata__):
        return {"still": type(__metadata__["lock"]).__name__, "plain": __metadata__["plain"]}
"""
    request = worker.open(worker.load(source))
    first = worker.result(Handler.INLET, request=request, body={})
    assert "lock" not in first["metadata"] and first["metadata"]["plain"] == 1
    second = worker.result(Handler.OUTLET, request=request, body={}, metadata=first["metadata"])
    assert second["body"] == {"still": "object", "plain": 1}


@pytest.mark.parametrize(("value", "kind"), [("None", "None"), ("[1]", "list"), ("'text'", "str")])
def test_wrong_return_says_what_to_return(worker: Worker, value: str, kind: str) -> None:
    request = worker.open(worker.load(f"class Filter:\n    def inlet(self, body): return {value}\n"))
    failure = worker.failure(Handler.INLET, request=request, body={})
    assert failure["type"] == "WrongReturn"
    assert failure["message"] == f"filter under_test: inlet returned {kind}; return the body"


def test_unserialisable_body_is_an_error(worker: Worker) -> None:
    request = worker.open(worker.load("class Filter:\n    def inlet(self, body): return {'a': {1, 2}}\n"))
    failure = worker.failure(Handler.INLET, request=request, body={})
    assert failure["type"] == "WrongReturn"
    expected = "filter under_test: inlet returned no JSON: Object of type set is not JSON serializable"
    assert failure["message"] == expected


@pytest.mark.parametrize("prefix", ["def", "async def"])
@pytest.mark.parametrize(
    ("statement", "kind", "message"),
    [
        ("raise ValueError('too long')", "ValueError", "too long"),
        ("raise KeyError('k')", "KeyError", "'k'"),
        ("raise SystemExit(3)", "SystemExit", "3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("raise GeneratorExit('x')", "GeneratorExit", "x"),
        ("raise Unprintable()", "Unprintable", "<Unprintable without a readable message>"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError", "the call was cancelled"),
    ],
)
def test_every_exception_becomes_an_error(worker: Worker, prefix: str, statement: str, kind: str, message: str) -> None:
    source = f"""
class Unprintable(BaseException):
    def __str__(self): raise RuntimeError
class Filter:
    {prefix} inlet(self, body): {statement}
    def outlet(self, body): return body
"""
    request = worker.open(worker.load(source))
    failure = worker.failure(Handler.INLET, request=request, body={})
    assert (failure["type"], failure["message"]) == (kind, message)
    assert worker.result(Handler.OUTLET, request=request, body={"alive": 1})["body"] == {"alive": 1}


def test_an_exception_with_a_status_keeps_it(worker: Worker) -> None:
    source = """
class Refused(Exception):
    status_code = 403
    detail = {"reason": "policy"}
class Filter:
    def inlet(self, body): raise Refused
"""
    failure = worker.failure(Handler.INLET, request=worker.open(worker.load(source)), body={})
    assert (failure["status"], failure["detail"]) == (403, {"reason": "policy"})


@pytest.mark.needs("fastapi")
def test_http_exception_keeps_status_detail_and_text(worker: Worker) -> None:
    source = """
from fastapi import HTTPException
class Filter:
    async def inlet(self, body): raise HTTPException(status_code=403, detail="blocked by policy")
"""
    failure = worker.failure(Handler.INLET, request=worker.open(worker.load(source)), body={})
    assert (failure["status"], failure["detail"], failure["message"]) == (
        403,
        "blocked by policy",
        "403: blocked by policy",
    )


def test_traceback_shows_the_functions_own_lines_only(worker: Worker) -> None:
    source = "import json\nclass Filter:\n    def inlet(self, body):\n        return json.loads('{')\n"
    failure = worker.failure(Handler.INLET, request=worker.open(worker.load(source)), body={})
    assert failure["traceback"].startswith('  File "<string>", line 4, in inlet\n    return json.loads(')
    assert failure["traceback"].count("File") == 1


def test_stream_drops_none_and_keeps_the_others_in_place(worker: Worker) -> None:
    source = "class Filter:\n    async def stream(self, event): return None if event['n'] == 2 else event\n"
    request = worker.open(worker.load(source))
    events = [{"n": 1}, {"n": 2}, {"n": 3}]
    assert worker.streamed(request, events) == [{"n": 1}, None, {"n": 3}]


@pytest.mark.parametrize("prefix", ["def", "async def"])
def test_stream_error_carries_the_events_before_it(worker: Worker, prefix: str) -> None:
    source = f"class Filter:\n    {prefix} stream(self, event): return event if event['n'] < 2 else 'text'\n"
    request = worker.open(worker.load(source))
    answer = worker.batch(request, ['{"n": 1}', '{"n": 2}', '{"n": 3}'])
    assert answer.kind == Kind.ERROR
    failure = answer.json
    assert failure["events"] == [{"n": 1}]
    assert failure["message"] == "filter under_test: stream returned str; return the event, or None to drop it"


def test_context_variables_live_from_inlet_to_outlet_of_one_request(worker: Worker) -> None:
    source = """
import asyncio
from contextvars import ContextVar
WHO = ContextVar("who", default="nobody")
class Filter:
    async def inlet(self, body):
        WHO.set(body["who"])
        await asyncio.sleep(0)
        return body
    def stream(self, event):
        return {"who": WHO.get()}
    async def outlet(self, body):
        return {"who": WHO.get()}
"""
    slot = worker.load(source)
    ann, bob, late = worker.open(slot), worker.open(slot), worker.open(slot)
    worker.result(Handler.INLET, request=ann, body={"who": "ann"})
    worker.result(Handler.INLET, request=bob, body={"who": "bob"})
    assert worker.streamed(ann, [{"x": 1}]) == [{"who": "ann"}]
    assert worker.result(Handler.OUTLET, request=bob, body={})["body"] == {"who": "bob"}
    assert worker.result(Handler.OUTLET, request=late, body={})["body"] == {"who": "nobody"}


def test_overlapping_stages_of_a_request_do_not_trip_over_each_other(worker: Worker) -> None:
    source = """
import asyncio
class Filter:
    def __init__(self):
        self.event = asyncio.Event()
    async def outlet(self, body):
        await self.event.wait()
        return body
    async def stream(self, event):
        self.event.set()
        return event
"""
    request = worker.open(worker.load(source))
    outlet = worker.start(Handler.OUTLET, request=request, body={"a": 1})
    assert worker.streamed(request, [{"n": 1}]) == [{"n": 1}]
    assert worker.wait(Kind.REPLY, id=outlet).json["body"] == {"a": 1}


def test_action_gets_its_id_and_may_return_anything(worker: Worker) -> None:
    source = """
class Action:
    actions = [{"id": "one", "name": "One"}]
    async def action(self, body, __id__, __model__, __user__=None):
        return [__id__, body["x"], __model__["id"]]
"""
    slot, ready = worker.try_load(source)
    assert ready.json["actions"] == [{"id": "one", "name": "One"}]
    request = worker.open(slot)
    assert worker.result(Handler.ACTION, request=request, body={"x": 1}, id="one") == {"result": ["one", 1, "mani.en"]}


def test_events_are_emitted_and_event_calls_answered_at_once(worker: Worker) -> None:
    source = """
class Filter:
    async def inlet(self, body, __event_emitter__, __event_call__):
        await __event_emitter__({"type": "status", "data": {"done": False}})
        await __event_emitter__(object())
        return {"answer": await __event_call__({"type": "input"})}
"""
    request = worker.open(worker.load(source))
    reply = worker.result(Handler.INLET, request=request, body={})
    assert reply["body"] == {"answer": {"error": "Client session disconnected."}}
    assert worker.wait(Kind.EMIT, id=request).json == {"type": "status", "data": {"done": False}}


def test_calls_nobody_can_answer_are_errors(worker: Worker) -> None:
    slot = worker.load("class Filter:\n    def inlet(self, body): return body\n")
    assert worker.failure(Handler.INLET, request=999, body={})["message"] == "request 999 is not open"
    failure = worker.failure(Handler.OUTLET, request=worker.open(slot), body={})
    assert failure["message"] == "function under_test has no outlet"
    assert worker.failure(Handler.CHECK_VALVES, slot=slot, values={}, user=False)["type"] == "Unknown"


def test_function_that_patches_modules_does_not_break_the_protocol(worker: Worker) -> None:
    source = """
import json, os, socket, sys
class Filter:
    def inlet(self, body):
        json.dumps = json.loads = os._exit = socket.socket = sys.exit = None
        return body
"""
    request = worker.open(worker.load(source))
    for _ in range(2):
        assert worker.result(Handler.INLET, request=request, body={"a": 1})["body"] == {"a": 1}

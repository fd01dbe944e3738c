"""Several functions called in one frame."""

from __future__ import annotations

from typing import Any

import pytest
from driver import BOARD_PLACES, Handler, Kind, Worker, WorkerDied

MARKING = """
KEPT = []
class Filter:
    {prefix}def inlet(self, body, __metadata__):
        KEPT.append(body)
        if body.get("stop") == "{name}":
            raise ValueError("{name} stops")
        if body.get("skip") != "{name}":
            body["names"] = [*body.get("names", []), "{name}"]
        if body.get("tell") == "{name}":
            __metadata__["told"] = [*__metadata__.get("told", []), "{name}"]
            body["metadata"]["same"] = __metadata__ is body["metadata"]
            __metadata__["kept"] = object()
        body["heard"] = __metadata__.get("told")
        return body
    {prefix}def stream(self, event):
        if event["drop"] == "{name}":
            return None
        if event["drop"] == "stop {name}":
            raise ValueError("{name} stops")
        return {{**event, "names": [*event.get("names", []), "{name}"]}} if event["mark"] else event
"""


def opened(worker: Worker, names: str = "abc") -> list[int]:
    """Requests of filters with these names, every other one of them async."""
    prefixes = {name: "async " if place % 2 else "" for place, name in enumerate(names)}
    return [
        worker.open(worker.load(MARKING.format(prefix=prefix, name=name), name)) for name, prefix in prefixes.items()
    ]


def passed(worker: Worker, body: dict[str, Any], names: str = "abc", **more: Any) -> dict[str, Any]:
    """What became of a body in a series, without the times."""
    reply = worker.result(Handler.INLET, requests=opened(worker, names), body=body, **more)
    seconds = reply.pop("seconds")
    assert len(seconds) == len(names) and all(time >= 0 for time in seconds)
    return dict(reply)


def test_each_function_gets_what_the_one_before_gave_back(worker: Worker) -> None:
    made = passed(worker, {})
    assert made == {f"body.{place}": {"heard": None, "names": list("abc"[: place + 1])} for place in range(3)}


def test_those_that_observe_are_all_given_the_same(worker: Worker) -> None:
    made = passed(worker, {"tell": "a"}, observes=True)
    assert [made[f"body.{place}"]["names"] for place in range(3)] == [["a"], ["b"], ["c"]]
    # What they say to each other in the metadata travels all the same.
    assert [made[f"body.{place}"]["heard"] for place in range(3)] == [["a"]] * 3


def test_what_stayed_as_it_was_is_left_out(worker: Worker) -> None:
    assert sorted(passed(worker, {"skip": "b", "names": [], "heard": None})) == ["body.0", "body.2"]


def test_metadata_travels_without_what_is_no_json(worker: Worker) -> None:
    made = passed(worker, {"tell": "a"})
    assert sorted(made) == ["body.0", "body.1", "body.2", "metadata.0"]
    assert made["metadata.0"]["told"] == ["a"] and made["metadata.0"]["same"]
    assert "kept" not in made["metadata.0"]
    assert [made[f"body.{place}"]["heard"] for place in range(3)] == [["a"]] * 3


def test_a_failure_comes_with_what_was_done_before(worker: Worker) -> None:
    requests = opened(worker)
    failure = worker.failure(Handler.INLET, requests=requests, body={"stop": "b"})
    assert failure["message"] == "b stops"
    assert len(failure["seconds"]) == 1 and failure["body.0"]["names"] == ["a"]
    # The functions can be called again, each by itself too.
    body = worker.result(Handler.INLET, request=requests[1], body={})["body"]
    assert body["names"] == ["b"]


def test_a_failure_that_is_no_json_comes_with_it_too(worker: Worker) -> None:
    raising = "class E(Exception):\n    status_code = 418\n    detail = {1: object()}\n"
    raising += "class Filter:\n    def inlet(self, body):\n        raise E('no')\n"
    requests = [*opened(worker, "a"), worker.open(worker.load(raising, "r"))]
    failure = worker.failure(Handler.INLET, requests=requests, body={})
    assert failure["status"] == 418 and failure["body.0"]["names"] == ["a"]


def test_events_that_one_drops_do_not_reach_the_next(worker: Worker) -> None:
    def streamed(*events: dict[str, Any]) -> tuple[int, list[Any]]:
        reply = worker.result(Handler.STREAM, requests=opened(worker), events=list(events))
        done = len(reply["seconds"])
        return done, [reply.get(f"events.{place}") for place in range(done)]

    done, batches = streamed({"drop": "b", "mark": True}, {"drop": "", "mark": True})
    names = [[event and event["names"] for event in batch] for batch in batches]
    assert done == 3 and names == [[["a"], ["a"]], [None, ["a", "b"]], [["a", "b", "c"]]]
    assert streamed({"drop": "a", "mark": True}) == (1, [[None]]), "no event was left for the others"
    assert streamed({"drop": "", "mark": False}) == (3, [None] * 3), "none of them changed it"


def test_a_failed_event_comes_with_those_before_it(worker: Worker) -> None:
    events = [{"drop": "", "mark": True}, {"drop": "stop b", "mark": True}]
    failure = worker.failure(Handler.STREAM, requests=opened(worker), events=events)
    assert [event["names"] for event in failure["events"]] == [["a", "b"]]
    assert [event["names"] for event in failure["events.0"]] == [["a"], ["a"]]


WAITING = """
import asyncio
class Filter:
    async def inlet(self, body):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not body.get("stubborn"):
                raise
        return body
"""


def test_cancel_ends_the_series(worker: Worker) -> None:
    first, last = opened(worker, "ab")
    waiting = worker.open(worker.load(WAITING, "w"))
    for body in ({}, {"stubborn": True}):
        call = worker.start(Handler.INLET, requests=[first, waiting, last], body=body)
        worker.ping()
        assert worker.running(call) == 1
        worker.send(Kind.CANCEL, call)
        failure = worker.wait(Kind.ERROR, id=call).json
        assert failure["type"] == "CancelledError"
        # One that takes no notice ends as well, but nobody behind it begins.
        assert len(failure["seconds"]) == (2 if body else 1)


def test_the_board_says_which_function_ended_the_process(worker: Worker) -> None:
    ending = "import os\nclass Filter:\n    def inlet(self, body):\n        os._exit(1)\n"
    requests = [*opened(worker, "ab"), worker.open(worker.load(ending, "e"))]
    call = worker.start(Handler.INLET, requests=requests, body={})
    with pytest.raises(WorkerDied):
        worker.wait(Kind.REPLY, Kind.ERROR, id=call)
    assert worker.running(call) == 2
    assert worker.running(call + BOARD_PLACES) is None


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("observes", [False, True])
def test_what_is_nested_too_deep_is_the_failure_of_whoever_nested_it(
    worker: Worker, place: int, observes: bool
) -> None:
    source = """
class Filter:
    def nested(self, levels):
        return [self.nested(levels - 1)] if levels > 1 else []
    def inlet(self, body, __metadata__):
        return {"deep": self.nested(body["levels"] - 1)}
    def stream(self, event):
        return {"deep": self.nested(event["levels"] - 1)}
"""
    for handler, subject, wrap in [(Handler.INLET, "body", lambda it: it), (Handler.STREAM, "events", lambda it: [it])]:
        for levels in (127, 128):
            requests = opened(worker, "ab")
            requests.insert(place, worker.open(worker.load(source, "deep")))
            value = {"levels": levels, "mark": 0, "drop": ""}
            answer = worker.call(handler, requests=requests[: place + 1], observes=observes, **{subject: wrap(value)})
            assert answer.kind == (Kind.REPLY if levels == 127 else Kind.ERROR)
            assert len(answer.json["seconds"]) == place + (levels == 127)


def test_metadata_that_is_nested_too_deep_stays_with_whoever_nested_it(worker: Worker) -> None:
    deep = "class Filter:\n    def inlet(self, body, __metadata__):\n        nested = []\n"
    deep += "        for _ in range(127):\n            nested = [nested]\n"
    deep += "        __metadata__['nested'] = nested\n        return body\n"
    first, last = opened(worker, "ab")
    requests = [first, worker.open(worker.load(deep, "deep")), last]
    reply = worker.result(Handler.INLET, requests=requests, body={"tell": "a"})
    assert len(reply["seconds"]) == 3 and "nested" not in str(reply)


def test_an_answer_that_grows_long_leaves_at_once(worker: Worker) -> None:
    requests = opened(worker)
    reply = worker.result(Handler.INLET, requests=requests, body={"text": "x" * 1_200_000})
    assert len(reply["seconds"]) == 1
    rest = worker.result(Handler.INLET, requests=requests[1:], body={**reply["body.0"], "text": ""})
    assert rest["body.1"]["names"] == ["a", "b", "c"]


def test_many_functions_take_no_room_on_the_stack(worker: Worker) -> None:
    deep = "import sys\nclass Filter:\n    def inlet(self, body):\n"
    deep += "        body['deep'] = len(__import__('inspect').stack(0))\n        return body\n"
    slot = worker.load(deep, "deep")
    requests = [worker.open(slot) for _ in range(50)]
    reply = worker.result(Handler.INLET, requests=requests, body={})
    assert list(reply) == ["seconds", "body.0"], "each was called as deep as the first"


def test_a_request_that_is_not_open_fails_with_what_was_done_before(worker: Worker) -> None:
    failure = worker.failure(Handler.INLET, requests=[opened(worker, "a")[0], 99_999], body={})
    assert "not open" in failure["message"]
    assert len(failure["seconds"]) == 1

"""Questions to the gateway: awaited, and asked by code that holds its thread up."""

from __future__ import annotations

import select
import socket

import pytest
from answering import Gateway, finish, inlet
from driver import Handler, Kind, Worker

LOOKUP = "from open_webui.models.users import Users\n"

PLACES = {
    "sync": """
class Filter:
    def inlet(self, body):
        return {"name": Users.get_user_by_id("u2").name}
""",
    "async": """
class Filter:
    async def inlet(self, body):
        return {"name": Users.get_user_by_id("u2").name}
""",
    "awaited": """
class Filter:
    async def inlet(self, body):
        return {"name": (await Users.get_user_by_id("u2")).name}
""",
    "thread": """
import asyncio
class Filter:
    async def inlet(self, body):
        user = await asyncio.to_thread(Users.get_user_by_id, "u2")
        return {"name": user.name}
""",
    "lambda in a thread": """
import asyncio
class Filter:
    async def inlet(self, body):
        loop = asyncio.get_running_loop()
        user = await loop.run_in_executor(None, lambda: Users.get_user_by_id("u2"))
        return {"name": user.name}
""",
    "thread that holds the loop up": """
from concurrent.futures import ThreadPoolExecutor
class Filter:
    async def inlet(self, body):
        with ThreadPoolExecutor(1) as pool:
            return {"name": pool.submit(Users.get_user_by_id, "u2").result().name}
""",
    "loop of another thread that holds the loop up": """
import asyncio
from concurrent.futures import ThreadPoolExecutor
class Filter:
    async def look(self):
        return await Users.get_user_by_id("u2")
    def inlet(self, body):
        with ThreadPoolExecutor(1) as pool:
            return {"name": pool.submit(asyncio.run, self.look()).result().name}
""",
    "gathered": """
import asyncio
class Filter:
    async def inlet(self, body):
        first, second = await asyncio.gather(Users.get_user_by_id("u1"), Users.get_user_by_id("u2"))
        return {"name": second.name}
""",
    "many gathered": """
import asyncio
class Filter:
    async def inlet(self, body):
        users = await asyncio.gather(*[Users.get_user_by_id(id) for id in ("u1", "u2")])
        return {"name": users[-1].name}
""",
    "awaited later": """
class Filter:
    async def inlet(self, body):
        user = Users.get_user_by_id("u2")
        return {"name": (await user).name}
""",
    "probed": """
import inspect
class Filter:
    async def inlet(self, body):
        user = Users.get_user_by_id("u2")
        if inspect.isawaitable(user):
            user = await user
        return {"name": user.name}
""",
    "helper that probes": """
import inspect
async def maybe_await(value):
    return await value if inspect.isawaitable(value) else value
class Filter:
    async def inlet(self, body):
        return {"name": (await maybe_await(Users.get_user_by_id("u2"))).name}
""",
    "both spellings": """
import inspect
class Filter:
    async def inlet(self, body):
        if inspect.iscoroutinefunction(Users.get_user_by_id):
            user = await Users.get_user_by_id("u2")
        else:
            user = Users.get_user_by_id("u2")
        return {"name": user.name}
""",
    "helper that is awaited": """
class Filter:
    async def look(self, id):
        return await Users.get_user_by_id(
            id
        )
    async def inlet(self, body):
        return {"name": (await self.look("u2")).name}
""",
}


@pytest.mark.parametrize("place", PLACES)
def test_lookups_answer_wherever_they_are_made(worker: Worker, place: str) -> None:
    gateway = Gateway()
    assert inlet(worker, LOOKUP + PLACES[place], gateway, user={"id": "u1", "name": "Ann"}) == {"name": "Bob"}
    assert gateway.methods() == ["users.get"]


def test_the_caller_is_known_without_asking(worker: Worker) -> None:
    source = """
class Filter:
    def inlet(self, body, __user__):
        user = Users.get_user_by_id(__user__["id"])
        memory = user.settings.ui.get("memory")
        return {"dump": user.model_dump()["email"], "key": user["name"], "get": user.get("nothing", 3), "ui": memory}
"""
    gateway = Gateway()
    ann = {"id": "u1", "email": "a@example.test", "name": "Ann", "settings": {"ui": {"memory": True}}}
    expected = {"dump": "a@example.test", "key": "Ann", "get": 3, "ui": True}
    assert inlet(worker, LOOKUP + source, gateway, user=ann) == expected
    assert gateway.methods() == []


def test_frames_that_arrive_while_the_loop_waits_are_kept_in_order(worker: Worker) -> None:
    source = (
        LOOKUP
        + """
SEEN = []
class Filter:
    async def inlet(self, body):
        if body["n"] == 0:
            Users.get_user_by_id("u2")
        SEEN.append(body["n"])
        return {"seen": list(SEEN)}
"""
    )
    request = worker.open(worker.load(source))
    first = worker.start(Handler.INLET, request=request, body={"n": 0})
    question = worker.wait(Kind.CALLBACK)
    others = [worker.start(Handler.INLET, request=request, body={"n": n}) for n in (1, 2)]
    # The loop stands still, and yet the worker says that it lives.
    worker.ping()
    assert not any(frame.kind == Kind.REPLY for frame in worker.received)
    worker.send(Kind.CALLBACK_REPLY, question.id, {"result": None})
    replies = [worker.wait(Kind.REPLY, id=call).json["body"]["seen"] for call in (first, *others)]
    assert replies == [[0], [0, 1], [0, 1, 2]]


def test_a_sync_handler_within_a_batch_keeps_the_rest_of_it(worker: Worker) -> None:
    source = (
        LOOKUP
        + """
class Filter:
    def inlet(self, body):
        return {"name": Users.get_user_by_id(body["id"]).name}
"""
    )
    request = worker.open(worker.load(source))
    calls = [worker.start(Handler.INLET, request=request, body={"id": "u2"}) for _ in range(5)]
    gateway = Gateway()
    for call in calls:
        assert finish(worker, gateway, Kind.REPLY, id=call).json["body"] == {"name": "Bob"}


def test_all_ways_of_asking_at_once(worker: Worker) -> None:
    source = (
        LOOKUP
        + """
import asyncio
class Filter:
    async def inlet(self, body):
        n = body["n"]
        if n % 3 == 0:
            user = Users.get_user_by_id(str(n))
        elif n % 3 == 1:
            user = await Users.get_user_by_id(str(n))
        else:
            user = await asyncio.to_thread(Users.get_user_by_id, str(n))
        return {"name": user.name}
"""
    )
    request = worker.open(worker.load(source))
    calls = {n: worker.start(Handler.INLET, request=request, body={"n": n}) for n in range(90)}
    names: dict[int, str] = {}
    asked = []
    while len(names) < len(calls):
        frame = worker.wait(Kind.CALLBACK, Kind.REPLY)
        if frame.kind == Kind.REPLY:
            names[frame.id] = frame.json["body"]["name"]
            continue
        asked.append(frame)
        # The last question is answered first, so that answers come in another order than questions.
        worker.ping()
        asked += [frame for frame in worker.received if frame.kind == Kind.CALLBACK]
        worker.received = [frame for frame in worker.received if frame.kind != Kind.CALLBACK]
        while asked:
            question = asked.pop()
            id = question.json["arguments"]["id"]
            worker.send(Kind.CALLBACK_REPLY, question.id, {"result": {"id": id, "name": f"N{id}"}})
    assert names == {call: f"N{n}" for n, call in calls.items()}


def test_a_refused_question_raises(worker: Worker) -> None:
    source = (
        LOOKUP
        + """
class Filter:
    def inlet(self, body):
        Users.get_user_by_id("u9")
"""
    )
    request = worker.open(worker.load(source))
    call = worker.start(Handler.INLET, request=request, body={})
    error = {"type": "Forbidden", "message": "not yours", "status": 403, "detail": "not yours"}
    worker.send(Kind.CALLBACK_REPLY, worker.wait(Kind.CALLBACK).id, {"error": error})
    failure = worker.wait(Kind.ERROR, id=call).json
    assert (failure["status"], failure["detail"]) == (403, "not yours")


def test_a_worker_whose_gateway_leaves_while_it_asks_ends(worker: Worker) -> None:
    source = (
        LOOKUP
        + """
class Filter:
    def inlet(self, body):
        Users.get_user_by_id("u9")
"""
    )
    request = worker.open(worker.load(source))
    worker.start(Handler.INLET, request=request, body={})
    worker.wait(Kind.CALLBACK)
    worker.connection.shutdown(socket.SHUT_RDWR)
    assert select.select([worker.pidfd], [], [], 20)[0]


def test_a_cancelled_call_gives_its_question_up(worker: Worker) -> None:
    source = (
        LOOKUP
        + """
class Filter:
    async def inlet(self, body):
        await Users.get_user_by_id("u9")
"""
    )
    request = worker.open(worker.load(source))
    call = worker.start(Handler.INLET, request=request, body={})
    question = worker.wait(Kind.CALLBACK)
    worker.send(Kind.CANCEL, call)
    given_up = worker.wait(Kind.CALLBACK)
    assert (given_up.id, given_up.flags, given_up.payload) == (question.id, 1, b"")
    assert worker.wait(Kind.ERROR, id=call).json["type"] == "CancelledError"


def test_lookups_outside_a_request_find_nothing_if_they_are_refused(worker: Worker) -> None:
    source = """
from open_webui.models.functions import Functions
from open_webui.models.users import Users
class Filter:
    def __init__(self):
        self.found = [Users.get_user_by_id("u2"), Functions.get_function_valves_by_id("other")]
    def inlet(self, body):
        return {"found": self.found}
"""
    slot = worker.next_id()
    worker.send(Kind.LOAD, slot, {"function_id": "under_test", "source": source, "threads": 1})
    for _ in range(2):
        error = {"type": "RuntimeError", "message": "not now", "status": None, "detail": None}
        worker.send(Kind.CALLBACK_REPLY, worker.wait(Kind.CALLBACK).id, {"error": error})
    assert worker.wait(Kind.READY, Kind.FAILED, id=slot).kind == Kind.READY
    worker.valves(slot, 0, {})
    body = worker.result(Handler.INLET, request=worker.open(slot), body={})["body"]
    assert body == {"found": [None, {}]}
    assert b"`users.get` found nothing" in b"".join(frame.payload for frame in worker.logged())


def test_questions_without_a_request_name_none(worker: Worker) -> None:
    source = LOOKUP + "NAME = Users.get_user_by_id('u2').name\nclass Filter:\n    pass\n"
    slot = worker.next_id()
    worker.send(Kind.LOAD, slot, {"function_id": "under_test", "source": source, "threads": 1})
    question = worker.wait(Kind.CALLBACK)
    assert question.json["request"] is None
    worker.send(Kind.CALLBACK_REPLY, question.id, {"result": {"id": "u2", "name": "Bob"}})
    assert worker.wait(Kind.READY, Kind.FAILED, id=slot).kind == Kind.READY

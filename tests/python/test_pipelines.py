"""Files written for the Pipelines server: the three types, their arguments, their valves and their life."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from driver import Handler, Kind, Worker, Zygote, forms

PLAIN = '''"""title: Parrot
"""
from typing import Generator, Iterator, List, Union

from schemas import OpenAIChatMessage
from utils.pipelines.main import get_last_user_message


class Pipeline:
    def __init__(self):
        self.name = "Parrot"

    def pipe(
        self, user_message: str, model_id: str, messages: List[dict], body: dict
    ) -> Union[str, Generator, Iterator]:
        assert user_message == get_last_user_message(messages)
        return f"{model_id} {user_message} {body['user']['email']} {sorted(body['user'])}"
'''

MANIFOLD = '''
class Pipeline:
    def __init__(self):
        self.type = "manifold"
        self.name = "Many: "
        self.pipelines = []

    async def on_startup(self):
        self.pipelines = [{"id": "a.b", "name": "First"}, {"id": "c", "name": "Second"}]

    def pipe(self, user_message, model_id, messages, body):
        yield model_id
        yield "!"
'''

FILTER = '''
import os
from typing import List, Optional

from pydantic import BaseModel


class Pipeline:
    class Valves(BaseModel):
        pipelines: List[str] = []
        priority: int = 0
        secret: str
        mark: str = "plain"

    def __init__(self):
        self.type = "filter"
        self.name = "Stamp"
        self.told = []
        self.valves = self.Valves(
            **{"pipelines": ["*"], "secret": os.getenv("NOT_THERE", "from the environment"), "priority": 3}
        )

    async def on_startup(self):
        self.told.append(f"startup {self.valves.mark}")

    async def on_valves_updated(self):
        self.told.append(f"valves {self.valves.mark}")

    async def inlet(self, body: dict, user: Optional[dict] = None) -> dict:
        valves = self.valves
        body["seen"] = [user["name"], valves.secret, valves.mark, valves.priority]
        body["told"] = self.told
        return body

    async def outlet(self, body: dict, user: Optional[dict] = None) -> dict:
        body["messages"][-1]["content"] += f" {user['role']}"
        return body
'''


def ready(worker: Worker, source: str) -> dict[str, Any]:
    """What is learnt of a source that loads."""
    _, answer = worker.try_load(source)
    assert answer.kind == Kind.READY, answer.payload
    learnt: dict[str, Any] = answer.json
    return learnt


def said(worker: Worker, source: str, body: dict[str, Any], stream: bool = False) -> tuple[Any, Any]:
    """What a Pipeline answers to a body: chunks and the last frame."""
    request = worker.open(worker.load(source))
    call = worker.start(Handler.PIPE, request=request, body=body, stream=stream)
    if stream:
        return worker.stream(call)
    return [], worker.wait(Kind.REPLY, Kind.ERROR, id=call)


def chat(model: str = "under_test") -> dict[str, Any]:
    """A chat request."""
    return {"model": model, "messages": [{"role": "user", "content": "hello"}]}


def test_a_pipeline_without_a_type_is_a_pipe(worker: Worker) -> None:
    learnt = ready(worker, PLAIN)
    assert (learnt["kind"], learnt["name"], learnt["pipes"]) == ("pipe", "Parrot", "none")
    assert (learnt["targets"], list(learnt["handlers"])) == (None, ["pipe"])
    _, answer = said(worker, PLAIN, chat())
    assert answer.json == {"text": "under_test hello a@example.test ['email', 'id', 'name', 'role']"}


def test_the_type_pipe_is_a_pipe_and_an_unknown_one_too_with_a_warning(worker: Worker) -> None:
    source = "class Pipeline:\n    type = '{}'\n    def pipe(self, user_message, model_id, messages, body): return 'x'\n"
    learnt = ready(worker, source.format("pipe"))
    assert (learnt["kind"], learnt["warnings"]) == ("pipe", [])
    learnt = ready(worker, source.format("pump"))
    assert learnt["kind"] == "pipe"
    assert len(learnt["warnings"]) == 1


def test_every_other_class_goes_before_pipeline(worker: Worker) -> None:
    both = PLAIN + "\nclass Filter:\n    def inlet(self, body): return body\n"
    assert ready(worker, both)["kind"] == "filter"


@pytest.mark.parametrize(("last", "seen"), [("text", "text"), ([{"type": "image_url"}, {"type": "text", "text": "t"}], "t")])
def test_the_user_message_is_the_last_users_text(worker: Worker, last: Any, seen: str) -> None:
    source = "class Pipeline:\n    def pipe(self, user_message, model_id, messages, body): return user_message\n"
    messages = [{"role": "user", "content": last}, {"role": "assistant", "content": "no"}]
    assert said(worker, source, {"model": "x", "messages": messages})[1].json == {"text": seen}


def test_a_pipe_with_other_names_gets_its_arguments_by_position(worker: Worker) -> None:
    source = "class Pipeline:\n    def pipe(self, text, model, talk, rest): return f'{text} {model} {len(talk)}'\n"
    assert said(worker, source, chat())[1].json == {"text": "hello under_test 1"}


def test_a_manifold_lists_its_models_and_is_told_which(worker: Worker) -> None:
    slot = worker.load(MANIFOLD)
    listed = worker.result(Handler.PIPES, slot=slot, valves=0)["models"]
    assert listed == [{"id": "a.b", "name": "Many: First"}, {"id": "c", "name": "Many: Second"}]
    chunks, end = said(worker, MANIFOLD, chat("under_test.a.b"), stream=True)
    assert (forms(chunks), end.kind) == ([("TEXT", "a.b"), ("TEXT", "!")], Kind.END)


def test_a_manifold_may_list_by_a_function(worker: Worker) -> None:
    source = MANIFOLD.replace("self.pipelines = []", "").replace(
        'self.pipelines = [{"id": "a.b", "name": "First"}, {"id": "c", "name": "Second"}]',
        'self.pipelines = lambda: [{"id": "late", "name": "Late"}]',
    )
    listed = worker.result(Handler.PIPES, slot=worker.load(source), valves=0)["models"]
    assert listed == [{"id": "late", "name": "Many: Late"}]


def test_a_sync_pipe_runs_in_a_thread_without_a_loop(worker: Worker) -> None:
    source = """
import asyncio

class Pipeline:
    def pipe(self, user_message, model_id, messages, body):
        async def ask():
            await asyncio.sleep(0)
            return "asked"
        return asyncio.run(ask())
"""
    assert said(worker, source, chat())[1].json == {"text": "asked"}


def test_two_sync_pipes_run_side_by_side(worker: Worker) -> None:
    source = """
import threading

class Pipeline:
    def __init__(self):
        self.both = threading.Barrier(2)

    def pipe(self, user_message, model_id, messages, body):
        self.both.wait(20)
        return "met"
"""
    slot = worker.load(source)
    calls = [worker.start(Handler.PIPE, request=worker.open(slot), body=chat(), stream=False) for _ in range(2)]
    assert [worker.wait(Kind.REPLY, Kind.ERROR, id=call).json for call in calls] == [{"text": "met"}] * 2


def test_a_filter_gets_the_user_and_its_own_values_below_the_stored_ones(worker: Worker) -> None:
    slot, answer = worker.try_load(FILTER)
    learnt = answer.json
    assert (learnt["kind"], learnt["targets"], learnt["priority"]) == ("filter", ["*"], 3)
    assert learnt["valves_spec"]["required"] == ["secret"]
    worker.valves(slot, 1, {"mark": "stored"})
    request = worker.open(slot, valves=1)
    body = worker.result(Handler.INLET, request=request, body=chat())["body"]
    assert body["seen"] == ["Ann", "from the environment", "stored", 3]
    body = worker.result(Handler.OUTLET, request=request, body={"messages": [{"role": "assistant", "content": "hi"}]})
    assert body["body"]["messages"][-1]["content"] == "hi user"


def test_values_are_checked_over_the_pipelines_own(worker: Worker) -> None:
    slot = worker.load(FILTER)
    checked = worker.result(Handler.CHECK_VALVES, slot=slot, values={"mark": "new", "nonsense": 1})
    assert checked == {"stored": {"mark": "new"}, "priority": 3}
    checked = worker.result(Handler.CHECK_VALVES, slot=slot, values={"priority": 9, "pipelines": ["m"]})
    assert checked == {"stored": {"priority": 9, "pipelines": ["m"]}, "priority": 9}
    assert "priority" in worker.failure(Handler.CHECK_VALVES, slot=slot, values={"priority": "q"})["message"]


def test_startup_sees_the_stored_values_and_new_ones_are_told_of(worker: Worker) -> None:
    slot = worker.next_id()
    stored = {"mark": "first"}
    worker.send(Kind.LOAD, slot, {"function_id": "under_test", "source": FILTER, "threads": 1, "valves": stored})
    assert worker.wait(Kind.READY, Kind.FAILED, id=slot).kind == Kind.READY
    worker.valves(slot, 1, stored)
    body = worker.result(Handler.INLET, request=worker.open(slot, valves=1), body=chat())["body"]
    assert body["told"] == ["startup first"]
    worker.valves(slot, 2, {"mark": "second"})
    body = worker.result(Handler.INLET, request=worker.open(slot, valves=2), body=chat())["body"]
    assert (body["told"], body["seen"][2]) == (["startup first", "valves second"], "second")


def test_stored_values_that_no_longer_fit_do_not_stop_the_start(worker: Worker) -> None:
    slot = worker.next_id()
    worker.send(Kind.LOAD, slot, {"function_id": "x", "source": FILTER, "threads": 1, "valves": {"priority": "q"}})
    assert worker.wait(Kind.READY, Kind.FAILED, id=slot).kind == Kind.READY


def test_calls_wait_until_new_valves_were_told_of(worker: Worker) -> None:
    source = FILTER.replace(
        'self.told.append(f"valves {self.valves.mark}")',
        'import asyncio\n        for _ in range(50): await asyncio.sleep(0)\n        self.told.append("slowly")',
    )
    slot = worker.load(source)
    worker.valves(slot, 1, {"mark": "new"})
    body = worker.result(Handler.INLET, request=worker.open(slot, valves=1), body=chat())["body"]
    assert body["told"] == ["startup plain", "slowly"]


def test_an_update_that_fails_is_printed_and_the_filter_goes_on(worker: Worker) -> None:
    source = FILTER.replace('self.told.append(f"valves {self.valves.mark}")', 'raise RuntimeError("no such table")')
    slot = worker.load(source)
    worker.valves(slot, 1, {"mark": "new"})
    body = worker.result(Handler.INLET, request=worker.open(slot, valves=1), body=chat())["body"]
    assert body["seen"][2] == "new"
    assert any(b"no such table" in frame.payload for frame in worker.logged())


def test_a_startup_that_fails_is_a_load_error(worker: Worker) -> None:
    source = FILTER.replace('self.told.append(f"startup {self.valves.mark}")', 'raise RuntimeError("no database")')
    _, answer = worker.try_load(source)
    assert (answer.kind, answer.json["message"]) == (Kind.FAILED, "no database")


@pytest.mark.parametrize("is_unloaded", [True, False])
def test_the_end_is_told_of(zygote: Zygote, tmp_path: Path, is_unloaded: bool) -> None:
    mark = tmp_path / "ended"
    source = PLAIN + f"""
    async def on_shutdown(self):
        import asyncio
        print("nobody reads this")
        await asyncio.sleep(0.01)
        open({str(mark)!r}, 'w').write('yes')
"""
    ending = zygote.spawn(data=str(tmp_path))
    slot = ending.load(source)
    if is_unloaded:
        ending.send(Kind.UNLOAD, slot)
    ending.close()
    zygote.wait_exit(ending)
    assert mark.read_text() == "yes"


def test_a_shutdown_that_hangs_is_given_up(zygote: Zygote, tmp_path: Path) -> None:
    source = PLAIN + "\n    async def on_shutdown(self):\n        import asyncio\n        await asyncio.Event().wait()\n"
    ending = zygote.spawn(data=str(tmp_path))
    ending.load(source)
    ending.close()
    assert zygote.wait_exit(ending) == 0


def test_utils_still_means_open_webui_elsewhere(worker: Worker) -> None:
    source = """
from utils.misc import get_last_user_message
from utils.pipelines.main import get_tools_specs

class Pipeline:
    class Tools:
        def weather(self, city: str, days: int = 1) -> str:
            \"\"\"The weather.
            :param city: Where.
            \"\"\"
            return city

    def pipe(self, user_message, model_id, messages, body):
        return {"specs": get_tools_specs(self.Tools()), "last": get_last_user_message(messages)}
"""
    _, answer = said(worker, source, chat())
    assert answer.json["data"]["last"] == "hello"
    [spec] = answer.json["data"]["specs"]
    assert (spec["name"], spec["description"]) == ("weather", "The weather.")
    assert spec["parameters"] == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where."},
            "days": {"type": "integer", "description": "days"},
        },
        "required": ["city"],
    }


def test_the_servers_modules_are_for_pipelines_alone(worker: Worker) -> None:
    _, answer = worker.try_load("import schemas\nclass Filter:\n    pass\n")
    assert (answer.kind, answer.json["message"]) == (Kind.FAILED, "No module named 'schemas'")


@pytest.mark.needs("pydantic", "requests")
def test_the_function_calling_blueprint_is_a_filter(worker: Worker) -> None:
    source = """
from blueprints.function_calling_blueprint import Pipeline as FunctionCallingBlueprint

class Pipeline(FunctionCallingBlueprint):
    class Valves(FunctionCallingBlueprint.Valves):
        CITY: str = "Paris"

    class Tools:
        def __init__(self, pipeline):
            self.pipeline = pipeline

        def weather(self, day: str) -> str:
            \"\"\"The weather.\"\"\"
            return f"{self.pipeline.valves.CITY}: sun {day}"

    def __init__(self):
        super().__init__()
        self.name = "Weather"
        self.valves = self.Valves(**{**self.valves.model_dump(), "pipelines": ["*"]})
        self.tools = self.Tools(self)

    def run_completion(self, system_prompt, content):
        assert '"name": "weather"' in system_prompt and "Query: hello" in content
        return {"name": "weather", "parameters": {"day": "today"}}
"""
    slot, answer = worker.try_load(source)
    assert (answer.json["kind"], answer.json["targets"]) == ("filter", ["*"])
    worker.valves(slot, 1, {"CITY": "Rome"})
    body = worker.result(Handler.INLET, request=worker.open(slot, valves=1), body=chat())["body"]
    assert body["messages"][0]["role"] == "system"
    assert "Rome: sun today" in body["messages"][0]["content"]


def test_the_guides_example_does_what_it_says(worker: Worker) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "FUNCTIONS.md"
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    [source] = [block for block in blocks if "class Pipeline:" in block]
    slot, answer = worker.try_load(source)
    assert (answer.json["kind"], answer.json["targets"]) == ("filter", ["*"])
    worker.valves(slot, 1, {"word": "hello"})
    failure = worker.failure(Handler.INLET, request=worker.open(slot, valves=1), body=chat())
    assert failure["message"] == "That word is not allowed."


def test_a_pipe_may_be_its_own_filter(worker: Worker) -> None:
    source = PLAIN + "\n    async def inlet(self, body, user):\n        return {**body, 'seen': user['name']}\n"
    slot = worker.load(source)
    request = worker.open(slot)
    body = worker.result(Handler.INLET, request=request, body=chat())["body"]
    assert body["seen"] == "Ann"


def test_lines_of_a_models_own_stream_pass(worker: Worker) -> None:
    source = """
class Pipeline:
    def pipe(self, user_message, model_id, messages, body):
        return iter([b'data: {"choices": []}', b"", b"data: [DONE]"])
"""
    chunks, end = said(worker, source, chat(), stream=True)
    assert forms(chunks) == [("RAW", 'data: {"choices": []}'), ("TEXT", ""), ("RAW", "data: [DONE]")]
    assert end.kind == Kind.END


def test_a_plain_inlet_without_a_user_works_too(worker: Worker) -> None:
    source = "class Pipeline:\n    type = 'filter'\n    def inlet(self, body): return {**body, 'seen': True}\n"
    body = worker.result(Handler.INLET, request=worker.open(worker.load(source)), body=chat())["body"]
    assert body["seen"] is True


def test_an_inlet_that_gives_nothing_back_is_an_error(worker: Worker) -> None:
    source = "class Pipeline:\n    type = 'filter'\n    async def inlet(self, body, user): pass\n"
    failure = worker.failure(Handler.INLET, request=worker.open(worker.load(source)), body=chat())
    assert failure["message"] == "filter under_test: inlet returned None; return the body"

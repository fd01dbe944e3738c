"""Small functions that use `open_webui` in the ways community functions do; the files are in `compat`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from answering import Gateway, finish
from driver import Handler, Kind, Worker

FILES = Path(__file__).parent / "compat"
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "an answer"}}]}
ROW = {
    "id": "preset",
    "base_model_id": "echo",
    "name": "Preset",
    "params": {"system": "Be brief."},
    "meta": {"toolIds": ["clock"]},
}
TALK = {"model": "mani.en", "messages": [{"role": "user", "content": "Where is my green tea?"}], "stream": False}
DONE = {"model": "mani.en", "messages": [*TALK["messages"], {"role": "assistant", "content": "Here."}], "chat_id": "c1"}


def gateway() -> Gateway:
    """A gateway with a few models, functions, a chat and a memory."""
    known = Gateway(
        **{
            "generate_chat_completion": ANSWER,
            "models.list": [{"id": "echo", "name": "Echo"}, {"id": "preset", "name": "Preset", "info": ROW}],
            "models.get": ROW,
            "functions.get": {"id": "other", "type": "pipe", "content": "# other", "meta": {}, "is_active": True},
            "functions.list": [{"id": "other", "type": "pipe", "meta": {}, "is_active": True}],
            "functions.valves": {"key": "k"},
            "tools.list": [{"id": "clock", "name": "Clock", "specs": [], "meta": {}}],
        }
    )
    history = {"messages": {"m1": {"id": "m1", "role": "user", "content": "Hi"}}, "currentId": "m1"}
    known.documents_put("chat", "c1", "u1", {"title": "T", "chat": {"title": "T", "history": history}})
    known.documents_put("memory", "x", "u1", {"content": "User drinks green tea"})
    return known


def run(worker: Worker, name: str, handler: Handler, body: dict[str, Any], **payload: Any) -> Any:
    """What a file's handler gives, and the gateway it asked."""
    asked = gateway()
    slot = worker.next_id()
    source = (FILES / f"{name}.py").read_text()
    worker.send(Kind.LOAD, slot, {"function_id": name, "source": source, "threads": 1})
    loaded = finish(worker, asked, Kind.READY, Kind.FAILED, id=slot)
    assert loaded.kind == Kind.READY, loaded.payload
    worker.valves(slot, 0, {})
    if handler == Handler.PIPES:
        call = worker.start(handler, slot=slot, valves=0)
    else:
        metadata = {"chat_id": "c1", "message_id": "m1", "task": payload.pop("task", None)}
        request = worker.open(slot, metadata=metadata)
        call = worker.start(handler, request=request, body=body, **payload)
    reply = finish(worker, asked, Kind.REPLY, Kind.ERROR, id=call)
    assert reply.kind == Kind.REPLY or name.startswith("refuses"), reply.payload
    return reply.json, asked


def first_text(reply: Any) -> str:
    """The first message of a reply's body."""
    return str(reply["body"]["messages"][0]["content"])


@pytest.mark.parametrize("name", ["recall_plain", "recall_awaited", "recall_either"])
def test_recalling_filters(worker: Worker, name: str) -> None:
    reply, _ = run(worker, name, Handler.INLET, TALK)
    assert first_text(reply) == "Known of Ann: User drinks green tea"


@pytest.mark.needs("fastapi")
def test_remembering_filter(worker: Worker) -> None:
    _, asked = run(worker, "remember", Handler.OUTLET, DONE)
    assert [document["data"]["content"] for document in asked.documents_list("memory")][-1] == "Where is my green tea?"


def test_counting_filter(worker: Worker) -> None:
    reply, _ = run(worker, "count_words", Handler.INLET, TALK)
    assert reply["metadata"]["words"] == 6
    assert [frame.json["type"] for frame in worker.received if frame.kind == Kind.EMIT] == ["status"]


def test_annotating_filter(worker: Worker) -> None:
    _, asked = run(worker, "annotate", Handler.OUTLET, DONE)
    messages = asked.documents["chat", "c1"]["data"]["chat"]["history"]["messages"]
    assert messages["m1"] == {"id": "m1", "role": "user", "content": "Hi", "note": "seen by Ann"}


def test_old_chat_filter(worker: Worker) -> None:
    reply, _ = run(worker, "old_spelling", Handler.INLET, TALK)
    assert first_text(reply) == "This chat is called T."


def test_system_prompt_filter(worker: Worker) -> None:
    reply, _ = run(worker, "dated", Handler.INLET, TALK)
    assert first_text(reply).startswith("It is ")


def test_preset_reading_filter(worker: Worker) -> None:
    reply, _ = run(worker, "preset_tools", Handler.INLET, TALK)
    assert reply["body"]["tool_ids"] == ["clock"]


def test_rewriting_filter(worker: Worker) -> None:
    reply, asked = run(worker, "rewrite", Handler.INLET, TALK)
    assert first_text(reply) == "an answer"
    assert asked.asked[-1][1]["bypass_filter"] is True


def test_routing_filter(worker: Worker) -> None:
    reply, _ = run(worker, "route", Handler.INLET, TALK)
    assert reply["body"]["model"] == "preset"


@pytest.mark.needs("fastapi")
def test_refusing_filter(worker: Worker) -> None:
    reply, _ = run(worker, "refuses", Handler.INLET, TALK)
    assert (reply["status"], reply["detail"]) == (403, "You do not have permission to access this resource.")


def test_caching_filter(worker: Worker) -> None:
    reply, _ = run(worker, "cache", Handler.INLET, TALK)
    assert reply["body"]["cached"] == [False, True]


def test_logging_filter_logs_once(worker: Worker) -> None:
    run(worker, "logs", Handler.INLET, TALK)
    text = b"".join(frame.payload for frame in worker.logged()).decode()
    assert text.count("inlet of logs") == 1


def test_filter_with_types_for_checkers_only(worker: Worker) -> None:
    reply, _ = run(worker, "typed", Handler.INLET, TALK)
    assert reply["body"]["typed"] is True


def test_background_filter(worker: Worker) -> None:
    run(worker, "background", Handler.OUTLET, DONE)
    assert worker.wait(Kind.EMIT).json["data"]["description"] == "later"


def test_asking_pipe(worker: Worker) -> None:
    reply, asked = run(worker, "ask", Handler.PIPE, TALK, stream=False)
    assert reply == {"text": "an answer"}
    assert asked.asked[-1][1]["body"]["model"] == "echo"


def test_task_pipe(worker: Worker) -> None:
    assert run(worker, "tasks", Handler.PIPE, TALK, stream=False, task="title_generation")[0] == {"text": "A title"}


def test_listing_pipe(worker: Worker) -> None:
    reply, _ = run(worker, "listing", Handler.PIPES, TALK)
    assert [model["id"] for model in reply["models"]] == ["wrapped-echo", "wrapped-preset"]


def test_template_pipe(worker: Worker) -> None:
    reply, _ = run(worker, "templates", Handler.PIPE, TALK, stream=False)
    assert reply["data"]["choices"][0]["message"]["content"] == "USER: Where is my green tea?"


@pytest.mark.needs("fastapi")
def test_picture_pipe(worker: Worker) -> None:
    reply, asked = run(worker, "picture", Handler.PIPE, TALK, stream=False)
    id = asked.documents_list("file")[0]["id"]
    assert reply == {"text": f"![picture](/api/v1/files/{id}/content)"}


def test_threaded_storage_pipe(worker: Worker) -> None:
    reply, asked = run(worker, "threaded_storage", Handler.PIPE, TALK, stream=False)
    assert reply == {"text": "3 bytes"} and len(asked.blobs) == 1


def test_sibling_valves_pipe(worker: Worker) -> None:
    assert run(worker, "sibling_valves", Handler.PIPE, TALK, stream=False)[0] == {"text": "k # other"}


@pytest.mark.needs("aiohttp")
def test_timeouts_from_the_environment(worker: Worker) -> None:
    assert run(worker, "timeouts", Handler.PIPE, TALK, stream=False)[0] == {"text": "None 0.12.4"}


def test_searching_pipe_goes_on_without_results(worker: Worker) -> None:
    assert run(worker, "searching", Handler.PIPE, TALK, stream=False)[0] == {"text": "nothing found"}


def test_database_pipe_goes_on_without_rows(worker: Worker) -> None:
    assert run(worker, "database", Handler.PIPE, TALK, stream=False)[0] == {"text": "0 rows"}


def test_summarising_action(worker: Worker) -> None:
    reply, asked = run(worker, "summary", Handler.ACTION, DONE, id="summary")
    assert reply["result"]["content"] == "an answer"
    assert asked.documents_list("note")[0]["data"]["title"] == "Summary for Ann"


def test_every_file_has_a_test() -> None:
    text = Path(__file__).read_text()
    assert [file.stem for file in FILES.glob("*.py") if f'"{file.stem}"' not in text] == []

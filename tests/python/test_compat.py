"""The `open_webui` package, as functions use it."""

from __future__ import annotations

from driver import Handler, Kind, Worker, forms

ASK = """
from utils.chat import generate_chat_completion
class Pipe:
    async def pipe(self, body, __request__, __user__):
        return await generate_chat_completion(__request__, {**body, "metadata": object()}, __user__, bypass_filter=True)
"""


def test_completion_goes_through_the_gateway(worker: Worker) -> None:
    request = worker.open(worker.load(ASK))
    call = worker.start(Handler.PIPE, request=request, body={"model": "echo"}, stream=False)
    question = worker.wait(Kind.CALLBACK)
    assert question.json == {
        "request": request,
        "method": "generate_chat_completion",
        "arguments": {"body": {"model": "echo"}, "bypass_filter": True},
    }
    worker.send(Kind.CALLBACK_REPLY, question.id, {"result": {"choices": []}})
    assert worker.wait(Kind.REPLY, id=call).json == {"data": {"choices": []}}


def test_streamed_completion_is_a_response_of_its_lines(worker: Worker) -> None:
    request = worker.open(worker.load(ASK))
    call = worker.start(Handler.PIPE, request=request, body={"stream": True}, stream=True)
    worker.send(Kind.CALLBACK_REPLY, worker.wait(Kind.CALLBACK).id, {"result": {"events": [{"a": "é"}]}})
    chunks, last = worker.stream(call)
    assert chunks[0].json["content_type"].startswith("text/event-stream")
    assert [text for _, text in forms(chunks[1:])] == ['data: {"a":"é"}\n\n', "data: [DONE]\n\n"]
    assert last.kind == Kind.END


def test_refused_completion_raises_with_its_status(worker: Worker) -> None:
    request = worker.open(worker.load(ASK))
    call = worker.start(Handler.PIPE, request=request, body={}, stream=False)
    error = {"type": "UnknownModel", "message": "no such model", "status": 404, "detail": "no such model"}
    worker.send(Kind.CALLBACK_REPLY, worker.wait(Kind.CALLBACK).id, {"error": error})
    failure = worker.wait(Kind.ERROR, id=call).json
    assert (failure["status"], failure["message"]) == (404, "404: no such model")


def test_a_thread_with_a_loop_of_its_own_may_ask(worker: Worker) -> None:
    source = """
import asyncio
from open_webui.utils.chat import generate_chat_completions
class Pipe:
    async def pipe(self, body, __request__):
        ask = lambda: asyncio.run(generate_chat_completions(__request__, body))
        return await asyncio.to_thread(ask)
"""
    call = worker.start(Handler.PIPE, request=worker.open(worker.load(source)), body={}, stream=False)
    worker.send(Kind.CALLBACK_REPLY, worker.wait(Kind.CALLBACK).id, {"result": {"ok": 1}})
    assert worker.wait(Kind.REPLY, Kind.ERROR, id=call).json == {"data": {"ok": 1}}


def test_message_helpers(worker: Worker) -> None:
    source = """
from open_webui.utils.misc import *
from open_webui.utils import misc
class Filter:
    def inlet(self, body):
        messages = body["messages"]
        system, rest = misc.pop_system_message(messages)
        return {
            "last": [misc.get_last_user_message(messages), misc.get_last_assistant_message(messages)],
            "system": [system["content"], len(rest)],
            "content": misc.get_messages_content(rest),
            "updated": misc.add_or_update_system_message("more", [*map(dict, messages)], append=True)[0],
            "added": misc.add_or_update_system_message("new", [])[0],
            "first": misc.prepend_to_first_user_message_content("pre", [*map(dict, messages)])[1],
            "appended": misc.append_or_update_assistant_message("end", [*map(dict, rest)])[-1],
            "chunk": misc.openai_chat_chunk_message_template("m", "x")["choices"][0]["delta"],
            "final": misc.openai_chat_chunk_message_template("m")["choices"][0]["finish_reason"],
            "whole": misc.openai_chat_completion_message_template("m", "x")["choices"][0]["message"],
        }
"""
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": [{"type": "image_url"}, {"type": "text", "text": "parts"}]},
    ]
    assert worker.inlet(source, {"messages": messages}) == {
        "last": ["parts", "a"],
        "system": ["S", 3],
        "content": "USER: u\nASSISTANT: a\nUSER: parts",
        "updated": {"role": "system", "content": "S\nmore"},
        "added": {"role": "system", "content": "new"},
        "first": {"role": "user", "content": "pre\nu"},
        "appended": {"role": "assistant", "content": "end"},
        "chunk": {"content": "x"},
        "final": "stop",
        "whole": {"role": "assistant", "content": "x"},
    }


def test_settings_and_constants(worker: Worker) -> None:
    source = """
from open_webui.constants import TASKS
from open_webui.env import AIOHTTP_CLIENT_TIMEOUT, GLOBAL_LOG_LEVEL, SRC_LOG_LEVELS, VERSION
class Filter:
    def inlet(self, body):
        return {"task": str(TASKS.TITLE_GENERATION), "is": TASKS.DEFAULT == "default", "levels": SRC_LOG_LEVELS["MAIN"]}
"""
    assert worker.inlet(source) == {"task": "title_generation", "is": True, "levels": "INFO"}

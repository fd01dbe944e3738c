"""The openai package, unmodified, through the gateway: what a program sees that knows nothing of it."""

import asyncio
import os

import openai

FILTERED = os.environ["FILTERS"] == "on"
OPTIONS = {"base_url": os.environ["BASE_URL"], "api_key": os.environ["API_KEY"], "max_retries": 0, "timeout": 20}
EXPECTED = "echo: hi there mark" if FILTERED else "echo: hi there"
MESSAGES = [{"role": "user", "content": "hi there"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]


def whole(client):
    answer = client.chat.completions.create(model="echo", messages=MESSAGES)
    assert answer.choices[0].message.content == EXPECTED, answer
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 12
    assert answer.model_extra["x_received"]["messages"][0]["content"] == EXPECTED.removeprefix("echo: ")


def streamed(client):
    text, finish = "", None
    for chunk in client.chat.completions.create(model="echo", messages=MESSAGES, stream=True):
        assert chunk.model_extra.get("calm", False) == FILTERED, chunk
        text += chunk.choices[0].delta.content or ""
        finish = chunk.choices[0].finish_reason or finish
    assert (text, finish) == (EXPECTED, "stop"), (text, finish)


def usage_of_a_stream(client):
    options = {"include_usage": True}
    chunks = client.chat.completions.create(model="usage", messages=MESSAGES, stream=True, stream_options=options)
    last = list(chunks)[-1]
    assert last.usage.total_tokens == 12 and last.choices == [], last


def tools(client):
    answer = client.chat.completions.create(model="tools", messages=MESSAGES, tools=TOOLS)
    (call,) = answer.choices[0].message.tool_calls
    assert (call.id, call.function.name) == ("call_1", "get_weather"), call
    assert call.function.arguments == '{"city": "Oslo"}', call
    assert answer.model_extra["x_received"]["tools"] == TOOLS


def streamed_tools(client):
    with client.chat.completions.stream(model="tools", messages=MESSAGES, tools=TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    calls = [(call.function.name, call.function.arguments) for call in message.tool_calls]
    assert calls == [("get_weather", '{"city": "Oslo"}'), ("now", "{}")], calls


def errors(client):
    for model, kind in [("err429", openai.RateLimitError), ("err400", openai.BadRequestError)]:
        for stream in (False, True):
            try:
                client.chat.completions.create(model=model, messages=MESSAGES, stream=stream)
            except kind as error:
                assert error.response.headers["x-request-id"]
            else:
                raise AssertionError(f"{model} did not raise")
    try:
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    except openai.NotFoundError as error:
        assert error.code == "model_not_found", error
    else:
        raise AssertionError("an unknown model did not raise")


def broken_stream(client):
    try:
        list(client.chat.completions.create(model="cutoff", messages=MESSAGES, stream=True))
    except openai.APIError:
        return
    raise AssertionError("a stream that broke off did not raise")


def models(client):
    assert {"echo", "tools"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("echo").id == "echo"


async def asynchronous():
    async with openai.AsyncOpenAI(**OPTIONS) as client:
        chunks = await client.chat.completions.create(model="echo", messages=MESSAGES, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
        assert text == EXPECTED, text


def main():
    with openai.OpenAI(**OPTIONS) as client:
        for check in (whole, streamed, usage_of_a_stream, tools, streamed_tools, errors, broken_stream, models):
            check(client)
    asyncio.run(asynchronous())


main()

"""`redact.py` on streams: the same for every split, nothing early, nothing lost, nothing mixed."""

import copy
import json
import random
from collections.abc import Iterator
from contextvars import copy_context
from itertools import combinations
from types import ModuleType
from typing import Any

import pytest
from conftest import Load

KINDS = ("mail", "card", "phone")
SEED = 20260131
# The longest possible match and what is looked at behind it.
LONGEST_HELD = 576

TEXTS = [
    "Write to ann@example.com or call +49 171 2345678, card 4111 1111 1111 1111 12/27.",
    "ann@example.co-op.uk. bob@x.y, @ann ann@ 'o'brien@example.com'",
    "01/15/2024 10:30 2024-01-15 0171/2345678 (030) 1234567 192.168.1.1",
    "4111111111111112 4111111111111111 41111111111111110000 0.4111111111111111",
    "I have 3 apples (see 4) and + 5 - 6",
    "7" * 60 + ".4111111111111111, " + "7" * 60 + "-4111111111111111",
    "问ann@example.com吧 jürgen@bücher.example 555\u2011123\u20114567",
]
SECRETS = ["ann@example.com", "+49 171 2345678", "4111 1111 1111 1111", "555-123-4567"]
PIECES = [
    *SECRETS,
    "ann@",
    "@x.",
    ".com",
    "a",
    "é",
    "问",
    "0",
    "4",
    "41",
    "1111",
    "171 2345",
    "+",
    "+49",
]
PIECES += [
    " ",
    "-",
    ".",
    "(",
    ")",
    "/",
    ", ",
    "\n",
    "00",
    "01/15/2024",
    "_",
    "'",
    "a" * 70,
    "4" * 30,
]
JSON_TEXTS = [
    r'{"to": "\nann\u0040example.com", "n": 4111111111111111, "m": [1, 2.5]}',
    r'{"a": "\ud83d\ude00m\u00fcller@example.com\\", "t": "0171\/2345678"}',
    r'{"broken": "\u12", \u12345 \\',
]


@pytest.fixture
def module(load: Load) -> ModuleType:
    return load("redact")


def pieces(text: str, cuts: tuple[int, ...]) -> list[str]:
    edges = [0, *cuts, len(text)]
    return [text[start:stop] for start, stop in zip(edges, edges[1:], strict=False)]


def some_cuts(text: str, rng: random.Random) -> tuple[int, ...]:
    count = rng.randint(0, min(len(text), 12))
    return tuple(sorted(rng.choices(range(len(text) + 1), k=count)))


def random_text(rng: random.Random) -> str:
    return "".join(rng.choices(PIECES, k=rng.randint(1, 8)))


def scan(scanner: Any, parts: list[str]) -> str:
    return "".join([*(scanner.feed(part) for part in parts), scanner.feed("", last=True)])


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kinds", [KINDS, *((kind,) for kind in KINDS)])
def test_every_split_in_two_and_in_characters(
    module: ModuleType, text: str, kinds: tuple[str, ...]
) -> None:
    redactor = module.Redactor(kinds)
    whole = redactor.redact(text)
    for cut in range(len(text) + 1):
        assert scan(module.Scanner(redactor), pieces(text, (cut,))) == whole
    assert scan(module.Scanner(redactor), list(text)) == whole


@pytest.mark.parametrize(
    "text", ["x a@b.de y", "+49 171 234567.", "(030) 1234567", "4222222222222 1"]
)
def test_every_split_in_four(module: ModuleType, text: str) -> None:
    redactor = module.Redactor(KINDS)
    whole = redactor.redact(text)
    assert whole != text
    for cuts in combinations(range(len(text) + 1), 3):
        assert scan(module.Scanner(redactor), pieces(text, cuts)) == whole


def test_random_texts_at_random_splits(module: ModuleType) -> None:
    rng, redactor = random.Random(SEED), module.Redactor(KINDS)
    for _ in range(4000):
        text = random_text(rng)
        cuts = some_cuts(text, rng)
        joined = scan(module.Scanner(redactor), pieces(text, cuts))
        assert joined == redactor.redact(text), (text, cuts)


def test_planted_secrets_never_come_out(module: ModuleType) -> None:
    rng, redactor = random.Random(SEED), module.Redactor(KINDS)
    for _ in range(1000):
        planted = rng.choices(SECRETS, k=3)
        text = "; ".join(part for secret in planted for part in ("say", secret))
        out = scan(module.Scanner(redactor), pieces(text, some_cuts(text, rng)))
        assert out.count("[") == 3
        assert not any(secret in out for secret in SECRETS)


@pytest.mark.parametrize("text", JSON_TEXTS)
def test_arguments_at_every_split(module: ModuleType, text: str) -> None:
    redactor = module.Redactor(KINDS)
    whole = module.JsonScanner(redactor).feed(text, last=True)
    for cuts in combinations(range(len(text) + 1), 2):
        assert scan(module.JsonScanner(redactor), pieces(text, cuts)) == whole
    assert scan(module.JsonScanner(redactor), list(text)) == whole


def test_arguments_stay_json_for_random_values(module: ModuleType) -> None:
    rng, redactor = random.Random(SEED), module.Redactor(KINDS)
    for _ in range(1000):
        value = random_text(rng)
        text = json.dumps({"key": value}, ensure_ascii=rng.random() < 0.5)
        out = scan(module.JsonScanner(redactor), pieces(text, some_cuts(text, rng)))
        assert json.loads(out) == {"key": redactor.redact(value)}


def test_nothing_is_held_that_cannot_become_a_match(module: ModuleType) -> None:
    scanner = module.Scanner(module.Redactor(KINDS))
    assert scanner.feed("Dear all, ") == "Dear all, "
    assert scanner.feed("see (") == "see "
    assert scanner.feed("below) ") == "(below) "
    assert scanner.feed("ann@") == ""
    assert scanner.feed("home, 3 ") == "ann@home, "
    assert scanner.feed("apples\n") == "3 apples\n"


@pytest.mark.parametrize("unit", ["a", "1", "4 ", "a@b.", "a.", "@", "+", "(0", "é", "问"])
def test_what_is_held_is_bounded(module: ModuleType, unit: str) -> None:
    scanner = module.Scanner(module.Redactor(KINDS))
    for _ in range(3000):
        scanner.feed(unit)
        assert len(scanner._text) <= LONGEST_HELD + len(unit) + module.LOOK_BEHIND


# The filter on events.


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def run(function: Any, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of one request, in a context of its own as a host gives it."""
    return copy_context().run(lambda: list(_answer(function, events)))


def _answer(function: Any, events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    function.inlet({"messages": [], "stream": True})
    for event in events:
        yield function.stream(copy.deepcopy(event))


def deltas(events: list[dict[str, Any]], index: int = 0) -> list[dict[str, Any]]:
    choices = [choice for event in events for choice in event["choices"]]
    return [choice.get("delta") or {} for choice in choices if choice["index"] == index]


def joined(events: list[dict[str, Any]], field: str = "content", index: int = 0) -> str:
    return "".join(delta.get(field) or "" for delta in deltas(events, index))


def arguments(events: list[dict[str, Any]], call: int) -> str:
    calls = [item for delta in deltas(events) for item in delta.get("tool_calls") or []]
    return "".join(item["function"]["arguments"] for item in calls if item["index"] == call)


def test_a_match_across_chunks_and_the_rest_with_the_finish_reason(module: ModuleType) -> None:
    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": part}) for part in ("Ask a", "nn@exam", "ple.com", " or b", "ob")]
    out = run(module.Filter(), [*events, chunk({}, "stop")])
    assert [delta.get("content") for delta in deltas(out)] == [
        "", "Ask ", "", "", "[mail] or ", "", "bob",
    ]  # fmt: skip
    assert deltas(out)[0]["role"] == "assistant"


def test_a_finish_reason_beside_text_gives_out_all_of_it(module: ModuleType) -> None:
    events = [chunk({"content": "a@b"}), chunk({"content": ".de"}, "stop")]
    assert joined(run(module.Filter(), events)) == "[mail]"


def test_each_choice_is_a_text_of_its_own(module: ModuleType) -> None:
    parts = [("ann", 0), ("4111 1111 ", 1), ("@x.de.", 0), ("1111 1111", 1)]
    events = [chunk({"content": text}, index=index) for text, index in parts]
    events += [chunk({}, "stop", index) for index in (1, 0)]
    out = run(module.Filter(), events)
    assert (joined(out), joined(out, index=1)) == ("[mail].", "[card]")


def test_reasoning_is_given_out_when_the_answer_begins(module: ModuleType) -> None:
    parts = [{"reasoning_content": "ask a"}, {"reasoning_content": "@b.de"}, {"content": "Yes"}]
    out = run(module.Filter(), [*map(chunk, parts), chunk({}, "stop")])
    assert deltas(out)[2] == {"content": "", "reasoning_content": "[mail]"}
    assert (joined(out, "reasoning_content"), joined(out)) == ("ask [mail]", "Yes")


def test_the_same_reasoning_under_two_names_is_redacted_in_both(module: ModuleType) -> None:
    events = [chunk({"reasoning": part, "reasoning_content": part}) for part in ("a@b", ".de")]
    out = run(module.Filter(), [*events, chunk({}, "stop")])
    assert joined(out, "reasoning") == joined(out, "reasoning_content") == "[mail]"


def test_tool_calls_side_by_side(module: ModuleType) -> None:
    texts = [r'{"to": "\nann@x.de"}', '{"n": 4111111111111111}']
    events = []
    for at in range(max(map(len, texts))):
        calls = [
            {"index": call, "function": {"arguments": text[at : at + 1]}}
            for call, text in enumerate(texts)
        ]
        events.append(chunk({"tool_calls": calls}))
    out = run(module.Filter(), [*events, chunk({}, "tool_calls")])
    assert [arguments(out, call) for call in (0, 1)] == [r'{"to": "\n[mail]"}', '{"n": "[card]"}']


def test_cut_arguments_are_given_out_at_the_end(module: ModuleType) -> None:
    calls = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"to": "ann'}}]
    out = run(module.Filter(), [chunk({"tool_calls": calls}), chunk({}, "length")])
    assert arguments(out, 0) == '{"to": "ann'
    assert deltas(out)[0]["tool_calls"][0]["id"] == "c"


def test_the_old_function_call(module: ModuleType) -> None:
    events = [chunk({"function_call": {"arguments": part}}) for part in ('{"to": "a@', "b.de")]
    out = run(module.Filter(), [*events, chunk({}, "function_call")])
    given = [delta["function_call"]["arguments"] for delta in deltas(out)]
    assert "".join(given) == '{"to": "[mail]'


def test_content_in_parts(module: ModuleType) -> None:
    events = [chunk({"content": [{"type": "text", "text": part}]}) for part in ("a@b", ".de x")]
    out = run(module.Filter(), [*events, chunk({"content": []}, "stop")])
    texts = [part["text"] for delta in deltas(out) for part in delta["content"] or []]
    assert "".join(texts) == "[mail] x"


def test_a_usage_event_gives_out_what_no_finish_reason_did(module: ModuleType) -> None:
    usage = {"choices": [], "usage": {"total_tokens": 3}}
    out = run(module.Filter(), [chunk({"content": "by ann"}), usage])
    assert joined(out) == "by ann"
    assert run(module.Filter(), [chunk({"content": "."}, "stop"), usage])[-1] == usage


def test_token_probabilities_are_taken_out(module: ModuleType) -> None:
    event = chunk({"content": "a@b.de"}, "stop")
    event["choices"][0]["logprobs"] = {"content": [{"token": "a@b.de"}]}
    assert run(module.Filter(), [event])[0]["choices"][0]["logprobs"] is None


def test_other_events_and_unknown_fields_pass(module: ModuleType) -> None:
    odd = [
        {"error": {"message": "m"}},
        {"event": {"type": "status"}},
        {"choices": None},
        {"choices": [None], "x": 1},
        {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": {"content": None, "new": [1]}, "more": 2}]},
    ]
    assert run(module.Filter(), odd) == odd


def test_a_whole_message_in_a_chunk_is_redacted(module: ModuleType) -> None:
    event = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "a@b.de"}}]}
    assert run(module.Filter(), [event])[0]["choices"][0]["message"]["content"] == "[mail]"


def test_unparsed_events_are_an_error(module: ModuleType) -> None:
    with pytest.raises(TypeError, match="unparsed"):
        module.Filter().stream(b"data: {}\n")


def test_a_stream_without_an_inlet_is_redacted_too(module: ModuleType) -> None:
    function = module.Filter()
    events = [chunk({"content": "a@b"}), chunk({"content": ".de"}, "stop")]
    out = copy_context().run(lambda: [function.stream(event) for event in events])
    assert joined(out) == "[mail]"


def test_requests_at_the_same_time_do_not_mix(module: ModuleType) -> None:
    function, texts = module.Filter(), ["ask ann@x.de now", "card 4111111111111111", "plain words"]
    contexts = [copy_context() for _ in texts]
    for context in contexts:
        context.run(function.inlet, {"messages": [], "stream": True})
    out: list[list[dict[str, Any]]] = [[] for _ in texts]
    for at in range(max(map(len, texts)) + 1):
        for text, context, events in zip(texts, contexts, out, strict=True):
            event = chunk({"content": text[at : at + 1]}, "stop" if at == len(text) else None)
            events.append(context.run(function.stream, event))
    assert [joined(events) for events in out] == ["ask [mail] now", "card [card]", "plain words"]


def test_requests_one_after_the_other_in_one_context_do_not_mix(module: ModuleType) -> None:
    function = module.Filter()
    cut_off, next_one = [chunk({"content": "secret"})], [chunk({"content": "x"}, "stop")]
    assert joined(list(_answer(function, cut_off))) == ""
    assert joined(list(_answer(function, next_one))) == "x"


def test_a_copy_of_the_context_sees_the_same_answer(module: ModuleType) -> None:
    function, request = module.Filter(), copy_context()
    request.run(function.inlet, {"messages": [], "stream": True})
    events = [chunk({"content": "a@b"}), chunk({"content": ".de"}, "stop")]
    out = [request.copy().run(function.stream, event) for event in events]
    assert joined(out) == "[mail]"

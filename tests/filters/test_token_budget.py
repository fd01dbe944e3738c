"""Claims of `token_budget.py`."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from conftest import Load

OVERHEAD = 4


@pytest.fixture
def module(load: Load) -> ModuleType:
    return load("token_budget")


def message(role: str, tokens: int, tag: str = "x", **more: Any) -> dict[str, Any]:
    """A message of a known cost; `tag` tells it from others."""
    text = tag.ljust((tokens - OVERHEAD) * 4, ".")
    return {"role": role, "content": text, **more}


def clip(module: ModuleType, messages: list[dict[str, Any]], **valves: Any) -> list[dict[str, Any]]:
    function = module.Filter()
    function.valves = module.Filter.Valves(**valves)
    return list(function.inlet({"messages": list(messages)})["messages"])


def exchanges(count: int) -> list[dict[str, Any]]:
    pairs = [
        (message("user", 20, f"q{n}"), message("assistant", 20, f"a{n}")) for n in range(count)
    ]
    return [item for pair in pairs for item in pair]


def calling(name: str) -> list[dict[str, Any]]:
    calls = [{"id": name, "function": {"name": "", "arguments": ""}}]
    asked = message("assistant", 20, f"call {name}", tool_calls=calls)
    results = [message("tool", 20, f"{name} {n}", tool_call_id=name) for n in range(2)]
    return [asked, *results]


def test_what_is_within_the_budget_stays_as_it_is(module: ModuleType) -> None:
    messages = [message("system", 20), *exchanges(2)]
    assert clip(module, messages, budget=100) == messages


def test_the_example(module: ModuleType) -> None:
    system, talk = message("system", 20), exchanges(5)
    assert clip(module, [system, *talk], budget=100) == [system, *talk[-4:]]


def test_system_messages_stay_wherever_they_are(module: ModuleType) -> None:
    talk = exchanges(3)
    late = message("developer", 20, "late")
    kept = clip(module, [message("system", 20), *talk[:3], late, *talk[3:]], budget=80)
    assert kept == [message("system", 20), late, *talk[-2:]]


def test_the_last_question_and_the_newest_message_always_stay(module: ModuleType) -> None:
    talk = exchanges(3)
    assert clip(module, talk, budget=1) == talk[-2:]
    question = message("user", 500, "long")
    assert clip(module, [*talk, question], budget=10) == [question]


def test_an_answer_goes_when_its_question_has_gone(module: ModuleType) -> None:
    talk = [*exchanges(2), message("user", 20, "now")]
    assert clip(module, talk, budget=80) == talk[2:]


def test_calls_and_results_go_together(module: ModuleType) -> None:
    question = message("user", 20, "q")
    talk = [message("user", 20, "first"), *calling("a"), question]
    for budget in range(20, 101):
        kept = clip(module, talk, budget=budget)
        assert kept == (talk if budget == 100 else [question])


def test_old_rounds_of_the_last_question_may_go_but_not_the_newest(module: ModuleType) -> None:
    question = message("user", 20, "q")
    talk = [*exchanges(1), question, *calling("a"), *calling("b")]
    assert clip(module, talk, budget=90) == [question, *calling("b")]
    assert clip(module, talk, budget=1) == [question, *calling("b")]


def test_no_budget_leaves_results_without_their_call(module: ModuleType) -> None:
    talk = [*exchanges(1), *calling("a"), message("user", 20), *calling("b"), *calling("c")]
    for budget in range(1, 300, 5):
        kept = clip(module, talk, budget=budget)
        called = {call["id"] for item in kept for call in item.get("tool_calls", [])}
        answered = {item["tool_call_id"] for item in kept if item["role"] == "tool"}
        assert called == answered


def test_a_token_is_four_characters_and_images_have_their_own_cost(module: ModuleType) -> None:
    estimate = module._estimate
    assert [estimate(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]
    parts = [{"type": "text", "text": "abcd"}, {"type": "image_url", "image_url": {}}]
    assert module._cost({"role": "user", "content": parts}, estimate, 100) == OVERHEAD + 1 + 100


def test_arguments_of_calls_count(module: ModuleType) -> None:
    calls = [{"function": {"name": "abcd", "arguments": "abcdefgh"}}]
    cost = module._cost({"role": "assistant", "content": None, "tool_calls": calls}, len, 0)
    assert cost == OVERHEAD + 12


def test_tiktoken_counts_where_it_is_installed(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = SimpleNamespace(encode=lambda text, disallowed_special: text.split())
    stand_in = SimpleNamespace(get_encoding=lambda name: encoding)
    monkeypatch.setitem(sys.modules, "tiktoken", stand_in)
    talk = [{"role": role, "content": "a b c"} for role in ("user", "assistant", "user")]
    assert clip(module, talk, budget=3 * (OVERHEAD + 3), counter="tiktoken") == talk
    assert clip(module, talk, budget=20, counter="tiktoken") == talk[-1:]


def test_without_tiktoken_the_estimate_is_used(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    talk = [message("system", 20), *exchanges(5)]
    assert clip(module, talk, budget=100, counter="tiktoken") == clip(module, talk, budget=100)


def test_overflow_is_sent_or_refused(module: ModuleType) -> None:
    talk = [message("user", 50)]
    assert clip(module, talk, budget=10) == talk
    with pytest.raises(module.HTTPException) as refusal:
        clip(module, talk, budget=10, overflow="refuse")
    assert refusal.value.status_code == 413
    assert refusal.value.detail == "Too long: about 50 tokens, 10 are allowed."
    assert clip(module, exchanges(2), budget=40, overflow="refuse") == exchanges(2)[2:]


def test_an_empty_conversation_is_no_accident(module: ModuleType) -> None:
    assert clip(module, []) == []

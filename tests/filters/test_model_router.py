"""Claims of `model_router.py`."""

import json
from types import ModuleType
from typing import Any

import pytest
from conftest import Load

EXAMPLE = """
# the example of the head
images -> llava:13b
chars > 20000 & no images -> long-context
role = admin & proof, theorem -> deep-thinker
python, rust, sql -> coder
"""
IMAGE = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:,"}}]


@pytest.fixture
def module(load: Load) -> ModuleType:
    return load("model_router")


def route(
    module: ModuleType,
    content: Any,
    rules: str = EXAMPLE,
    model: str = "start",
    role: str = "user",
    **valves: Any,
) -> str:
    function = module.Filter()
    function.valves = module.Filter.Valves(rules=rules, **valves)
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    return str(function.inlet(body, {"role": role})["model"])


def test_the_example(module: ModuleType) -> None:
    assert route(module, IMAGE) == "llava:13b"
    assert route(module, "x" * 20001) == "long-context"
    assert route(module, "A Proof, please", role="admin") == "deep-thinker"
    assert route(module, "A Proof, please") == "start"
    assert route(module, "Explain SQL!") == "coder"


def test_the_first_rule_that_fits_wins(module: ModuleType) -> None:
    assert route(module, "python and rust", "rust -> a\npython -> b\n* -> c") == "a"
    assert route(module, "neither", "rust -> a\npython -> b\n* -> c") == "c"


def test_without_rules_or_a_fit_the_model_stays(module: ModuleType) -> None:
    assert route(module, "anything", "") == "start"
    assert route(module, "anything", "word -> other") == "start"


@pytest.mark.parametrize(
    ("condition", "fitting", "not_fitting"),
    [("chars > 3", 4, 3), ("chars >= 3", 3, 2), ("chars < 3", 2, 3), ("chars <= 3", 3, 4)],
)
def test_lengths(module: ModuleType, condition: str, fitting: int, not_fitting: int) -> None:
    assert route(module, "x" * fitting, f"{condition} -> b") == "b"
    assert route(module, "x" * not_fitting, f"{condition} -> b") == "start"


def test_length_is_that_of_the_whole_conversation(module: ModuleType) -> None:
    function = module.Filter()
    function.valves = module.Filter.Valves(rules="chars >= 6 -> long")
    messages = [{"role": "system", "content": "abc"}, {"role": "user", "content": "abc"}]
    assert function.inlet({"model": "m", "messages": messages})["model"] == "long"


def test_images_of_ollama_clients_count(module: ModuleType) -> None:
    function = module.Filter()
    function.valves = module.Filter.Valves(rules="images -> eyes")
    messages = [{"role": "user", "content": "see", "images": ["aGk="]}]
    assert function.inlet({"model": "m", "messages": messages})["model"] == "eyes"


def test_words_are_whole_in_any_case_and_of_the_last_question(module: ModuleType) -> None:
    assert route(module, "RUST?", "rust -> b") == "b"
    assert route(module, "rusty trust", "rust -> b") == "start"
    assert route(module, "I write C++ here", "c++ -> b") == "b"
    function = module.Filter()
    function.valves = module.Filter.Valves(rules="rust -> b")
    messages = [{"role": "user", "content": "rust"}, {"role": "user", "content": "tea"}]
    assert function.inlet({"model": "m", "messages": messages})["model"] == "m"


def test_several_roles(module: ModuleType) -> None:
    rules = "role = admin, user -> b"
    assert route(module, "q", rules, role="user") == "b"
    assert route(module, "q", rules, role="pending") == "start"


def test_only_the_models_named_may_be_rerouted(module: ModuleType) -> None:
    assert route(module, "q", "* -> b", model="gpt-5", models="gpt-*, auto") == "b"
    assert route(module, "q", "* -> b", model="auto", models="gpt-*, auto") == "b"
    assert route(module, "q", "* -> b", model="llama", models="gpt-*, auto") == "llama"


def test_json_says_the_same(module: ModuleType) -> None:
    rules = json.dumps(
        [
            {"images": True, "model": "eyes"},
            {"min_chars": 3, "max_chars": 4, "model": "middle"},
            {"roles": ["admin"], "keywords": ["go"], "model": "boss"},
        ]
    )
    assert route(module, IMAGE, rules) == "eyes"
    assert [route(module, "x" * n, rules) for n in (2, 3, 4, 5)] == [
        "start",
        "middle",
        "middle",
        "start",
    ]
    assert route(module, "go", rules, role="admin") == "boss"


@pytest.mark.parametrize(
    ("rules", "mistake"),
    [
        ("* -> a\nno arrow", "line 2: write `conditions -> model`: no arrow"),
        ("-> a", "line 1: write"),
        ("word ->", "line 1: write"),
        ("a & & b -> c", "line 1: a condition is empty"),
        ("length > 5 -> b", "line 1: not a condition: length > 5"),
        ('[{"model": "a", "colour": 1}]', "colour"),
        ('[{"images": true}]', "model"),
        ("[", "rules"),
    ],
)
def test_mistakes_are_refused_when_saved(module: ModuleType, rules: str, mistake: str) -> None:
    with pytest.raises(ValueError) as refusal:
        module.Filter.Valves(rules=rules)
    assert mistake in str(refusal.value)

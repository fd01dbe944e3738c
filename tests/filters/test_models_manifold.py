"""Claims of `models_manifold.py`."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from conftest import Load


@pytest.fixture
def module(load: Load) -> ModuleType:
    return load("models_manifold")


def ask(module: ModuleType, model: str, content: Any, stream: bool = False, own: str = "") -> Any:
    user = {"valves": module.Pipe.UserValves(signature=own)}
    messages = [{"role": "user", "content": content}]
    body = {"model": f"models_manifold.{model}", "messages": messages, "stream": stream}
    return module.Pipe().pipe(body, user)


def test_all_four_are_offered_with_their_label(module: ModuleType) -> None:
    assert module.Pipe().pipes() == [
        {"id": name, "name": f"small: {name}"} for name in ("echo", "reverse", "count", "eliza")
    ]


def test_valves_choose_and_label(module: ModuleType) -> None:
    pipe = module.Pipe()
    pipe.valves = module.Pipe.Valves(models="count,echo", label="")
    assert [entry["name"] for entry in pipe.pipes()] == ["count", "echo"]
    with pytest.raises(ValueError, match="unknown model: ecco"):
        module.Pipe.Valves(models="echo, ecco")


def test_a_model_not_offered_is_refused_with_404(module: ModuleType) -> None:
    pipe = module.Pipe()
    pipe.valves = module.Pipe.Valves(models="count")
    with pytest.raises(module.HTTPException) as refusal:
        pipe.pipe({"model": "small.echo", "messages": []})
    assert refusal.value.status_code == 404


def test_echo_and_reverse(module: ModuleType) -> None:
    assert ask(module, "echo", "Hi there") == "Hi there"
    assert ask(module, "reverse", "Hi there") == "ereht iH"


def test_count(module: ModuleType) -> None:
    assert ask(module, "count", "one two") == "words: 2, characters: 7, messages: 1"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("I need a holiday", "Why do you need a holiday?"),
        ("Well, I'm afraid of my boss.", "How long have you been afraid of your boss?"),
        ("I can't sleep", "What keeps you from being able to sleep?"),
        ("My mother called", "Tell me more about your mother."),
        ("You are kind to me", "What makes you think I am kind to you?"),
        ("Hello", "Hello. What is on your mind?"),
        ("Is it?", "What do you think yourself?"),
        ("Rain", "Can you say more about that?"),
    ],
)
def test_eliza(module: ModuleType, question: str, answer: str) -> None:
    assert ask(module, "eliza", question) == answer


@pytest.mark.parametrize("text", ["one  two\n three ", " lead", "", "\n"])
def test_a_stream_is_the_answer_in_pieces(module: ModuleType, text: str) -> None:
    pieces = ask(module, "echo", text, stream=True)
    assert isinstance(pieces, Iterator)
    assert "".join(pieces) == ask(module, "echo", text) == text


def test_a_stream_comes_word_by_word(module: ModuleType) -> None:
    assert list(ask(module, "echo", "one two three", stream=True)) == ["one ", "two ", "three"]


def test_the_users_signature_is_the_last_line(module: ModuleType) -> None:
    assert ask(module, "echo", "Hi", own="Yours") == "Hi\n\nYours"
    assert "".join(ask(module, "echo", "Hi", stream=True, own="Yours")) == "Hi\n\nYours"


def test_parts_are_read_and_images_passed_over(module: ModuleType) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert ask(module, "echo", parts) == "a\nb"


def test_nothing_asked_is_no_accident(module: ModuleType) -> None:
    for name in ("echo", "reverse", "count", "eliza"):
        module.Pipe().pipe({"model": name, "messages": []})

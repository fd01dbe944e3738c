"""
title: Small models
author: Sluicegate
version: 1.0.0
license: MIT
description: Four small models that need no model server, to try out a gateway and its clients.

Each is a model of its own, `<function id>.<name>` in the model list, and answers streamed or whole,
word by word, without any network or randomness.
- echo: the last question, as it is
- reverse: the last question, backwards
- count: how many words, characters and messages the conversation has
- eliza: asks back, after Weizenbaum's program of 1966

Valves
- models: which of them to offer, divided by commas (`echo, reverse, count, eliza`)
- label: stands before their names in the model list (`small: `)

User valves
- signature: a last line under every answer (empty)

Example
- the question "I need a holiday" to `eliza` gives "Why do you need a holiday?"

Limits
- Parameters such as `temperature` and `max_tokens` do nothing. Images are not looked at.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, Field, field_validator

try:
    from fastapi import HTTPException
except ImportError:

    class HTTPException(Exception):  # type: ignore[no-redef]
        """Stands in where fastapi is not installed; hosts look at these two attributes."""

        def __init__(self, status_code: int, detail: str) -> None:
            super().__init__(f"{status_code}: {detail}")
            self.status_code = status_code
            self.detail = detail


Messages = list[dict[str, Any]]


def echo(messages: Messages) -> str:
    """Gives the last question back."""
    return _question(messages)


def reverse(messages: Messages) -> str:
    """Gives the last question backwards."""
    return _question(messages)[::-1]


def count(messages: Messages) -> str:
    """Counts the conversation."""
    texts = [_text(message) for message in messages]
    words, characters = sum(len(text.split()) for text in texts), sum(map(len, texts))
    return f"words: {words}, characters: {characters}, messages: {len(messages)}"


# The first pattern that fits gives the answer; what it caught is turned round and put in.
ELIZA = [
    (r"\bi need (.+)", "Why do you need {}?"),
    (r"\bi(?:'m| am) (.+)", "How long have you been {}?"),
    (r"\bi (?:feel|felt) (.+)", "Do you often feel {}?"),
    (r"\bi (?:want|would like|wish for) (.+)", "What would it mean to you to get {}?"),
    (r"\bi can(?:'t|not) (.+)", "What keeps you from being able to {}?"),
    (r"\bbecause (.+)", "Is that the real reason?"),
    (r"\bmy (\w+)", "Tell me more about your {}."),
    (r"\byou are (.+)", "What makes you think I am {}?"),
    (r"\b(?:hello|hi|hey)\b()", "Hello. What is on your mind?"),
    (r"\b(?:sorry)\b()", "There is no need to be sorry."),
    (r"\?\s*$()", "What do you think yourself?"),
]
TURNED = {
    "i": "you", "me": "you", "my": "your", "mine": "yours", "am": "are", "myself": "yourself",
    "you": "I", "your": "my", "yours": "mine", "are": "am",
}  # fmt: skip
GO_ON = ["Please go on.", "Can you say more about that?", "How does that make you feel?"]


def eliza(messages: Messages) -> str:
    """Asks back."""
    question = _question(messages)
    for pattern, answer in ELIZA:
        if found := re.search(pattern, question, re.IGNORECASE):
            return answer.replace("{}", _turn_round(found[1]))
    return GO_ON[len(messages) % len(GO_ON)]


def _turn_round(text: str) -> str:
    words = text.strip().rstrip(".!?").split()
    return " ".join(TURNED.get(word.lower(), word) for word in words)


def _question(messages: Messages) -> str:
    questions = [message for message in messages if message.get("role") == "user"]
    return _text(questions[-1]) if questions else ""


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content or ""


MODELS: dict[str, Callable[[Messages], str]] = {
    "echo": echo,
    "reverse": reverse,
    "count": count,
    "eliza": eliza,
}


class Pipe:
    """The four models behind one function."""

    class Valves(BaseModel):
        """What the operator sets."""

        models: str = Field(
            default="echo, reverse, count, eliza", description="Models to offer, by commas."
        )
        label: str = Field(default="small: ", description="Stands before the models' names.")

        @field_validator("models")
        @classmethod
        def _known_models(cls, text: str) -> str:
            if unknown := [name for name in _names(text) if name not in MODELS]:
                raise ValueError(f"unknown model: {', '.join(unknown)}")
            return text

    class UserValves(BaseModel):
        """What each user sets."""

        signature: str = Field(default="", description="A last line under every answer.")

    def __init__(self) -> None:
        self.valves = self.Valves()

    def pipes(self) -> list[dict[str, str]]:
        """The models to offer."""
        return [
            {"id": name, "name": f"{self.valves.label}{name}"}
            for name in _names(self.valves.models)
        ]

    def pipe(
        self, body: dict[str, Any], __user__: dict[str, Any] | None = None
    ) -> str | Iterator[str]:
        """Answers as the chosen model does, in pieces if the request is streamed."""
        answer = self._model(body["model"])(body.get("messages", []))
        signature = getattr((__user__ or {}).get("valves"), "signature", "")
        text = f"{answer}\n\n{signature}" if signature else answer
        return _pieces(text) if body.get("stream") else text

    def _model(self, model_id: str) -> Callable[[Messages], str]:
        name = model_id.rpartition(".")[2]
        if name not in _names(self.valves.models):
            raise HTTPException(404, f"There is no model {name} here.")
        return MODELS[name]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _pieces(text: str) -> Iterator[str]:
    """The text word by word, with the space behind each."""
    for piece in re.finditer(r"\s*\S+\s*|\s+", text):
        yield piece.group()

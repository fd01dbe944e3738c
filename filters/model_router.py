"""
title: Model router
author: Sluicegate
version: 1.0.0
license: MIT
description: Sends each request to the model that suits it, by rules.

Looks through the rules from the top and puts the model of the first one that fits into the request.
If none fits, the request keeps its model.

Valves
- rules: one `conditions -> model` to a line, or JSON (empty, so nothing happens)
- models: which models may be rerouted, as patterns divided by commas (`*`)
- priority: place in the chain (0)

Conditions, joined by `&`
- `*` always
- `images`, `no images` whether the conversation shows any
- `chars > 8000` (or `>=`, `<`, `<=`) length of all texts of the conversation
- `role = admin, user` role of the caller
- anything else is a list of words divided by commas; one of them stands in the last user message,
  whole and in any case

Example
- images -> llava:13b
- chars > 20000 & no images -> long-context
- role = admin & proof, theorem -> deep-thinker
- python, rust, sql -> coder

The same in JSON is a list of objects with `model` and any of `images`, `min_chars`, `max_chars`,
`roles`, `keywords`; `[{"keywords": ["python", "rust", "sql"], "model": "coder"}]`.

Limits
- Words are compared as written, there is no stemming, and cannot hold any of `,&<>=`.
- Lines that begin with `#` are left out.
- The caller must be allowed to use the model that a rule names.
- A mistake in the rules is refused when the valves are saved, with its line.
"""

import json
import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

LENGTH = re.compile(r"chars\s*(>=|<=|>|<)\s*(\d+)")
ROLES = re.compile(r"role\s*=\s*(.+)")
# How a comparison narrows the two inclusive bounds: which one, and by how much.
BOUNDS = {
    ">": ("min_chars", 1),
    ">=": ("min_chars", 0),
    "<": ("max_chars", -1),
    "<=": ("max_chars", 0),
}


class Request(NamedTuple):
    """What the rules look at."""

    chars: int
    images: bool
    role: str
    question: str


class Rule(BaseModel):
    """One rule: all that is given must fit."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1)
    images: bool | None = None
    min_chars: int | None = None
    max_chars: int | None = None
    roles: list[str] = []
    keywords: list[str] = []

    def fits(self, request: Request) -> bool:
        """Whether a request is for this rule."""
        return (
            (self.images is None or self.images == request.images)
            and (self.min_chars is None or request.chars >= self.min_chars)
            and (self.max_chars is None or request.chars <= self.max_chars)
            and (not self.roles or request.role in self.roles)
            and (not self.keywords or _has_word(request.question, self.keywords))
        )


class Filter:
    """Chooses the model of a request."""

    class Valves(BaseModel):
        """What the operator sets."""

        priority: int = Field(default=0, description="Place in the chain, lowest first.")
        rules: str = Field(default="", description="`conditions -> model` to a line, or JSON.")
        models: str = Field(default="*", description="Models that may be rerouted, as patterns.")

        @field_validator("rules")
        @classmethod
        def _readable_rules(cls, text: str) -> str:
            parse_rules(text)
            return text

    def __init__(self) -> None:
        self.valves = self.Valves()

    def inlet(self, body: dict[str, Any], __user__: dict[str, Any] | None = None) -> dict[str, Any]:
        """Puts the model of the first rule that fits into the request."""
        if not self._may_reroute(str(body.get("model") or "")):
            return body
        request = _request(body, __user__ or {})
        chosen = next((rule for rule in parse_rules(self.valves.rules) if rule.fits(request)), None)
        if chosen:
            body["model"] = chosen.model
        return body

    def _may_reroute(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in _list(self.valves.models))


# Kept by its text, as each request comes with the whole of it.
@lru_cache(maxsize=16)
def parse_rules(text: str) -> tuple[Rule, ...]:
    """Reads rules from lines or JSON; raises ValueError naming the line."""
    if text.lstrip().startswith("["):
        return tuple(TypeAdapter(list[Rule]).validate_python(json.loads(text)))
    return tuple(
        _parse_line(line.strip(), number)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    )


def _parse_line(line: str, number: int) -> Rule:
    conditions, arrow, model = line.rpartition("->")
    if not arrow or not model.strip() or not conditions.strip():
        raise ValueError(f"line {number}: write `conditions -> model`: {line}")
    fields: dict[str, Any] = {"model": model.strip()}
    for condition in conditions.split("&"):
        fields.update(_parse_condition(condition.strip(), number))
    return Rule(**fields)


def _parse_condition(condition: str, number: int) -> dict[str, Any]:
    if not condition:
        raise ValueError(f"line {number}: a condition is empty")
    if condition == "*":
        return {}
    if condition in ("images", "no images"):
        return {"images": condition == "images"}
    if length := LENGTH.fullmatch(condition):
        bound, step = BOUNDS[length[1]]
        return {bound: int(length[2]) + step}
    if roles := ROLES.fullmatch(condition):
        return {"roles": _list(roles[1])}
    if re.search("[<>=]", condition):
        raise ValueError(f"line {number}: not a condition: {condition}")
    return {"keywords": _list(condition)}


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _has_word(text: str, words: list[str]) -> bool:
    choice = "|".join(re.escape(word) for word in words)
    return re.search(rf"(?<!\w)(?:{choice})(?!\w)", text, re.IGNORECASE) is not None


def _request(body: dict[str, Any], user: dict[str, Any]) -> Request:
    messages = body.get("messages", [])
    questions = [message for message in messages if message.get("role") == "user"]
    return Request(
        chars=sum(len(_text(message)) for message in messages),
        images=any(_has_images(message) for message in messages),
        role=str(user.get("role") or ""),
        question=_text(questions[-1]) if questions else "",
    )


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def _text(message: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in _parts(message) if isinstance(part.get("text"), str))


def _has_images(message: dict[str, Any]) -> bool:
    # Ollama's own clients send `images` beside the text.
    return bool(message.get("images")) or any(
        part.get("type") in ("image_url", "input_image") for part in _parts(message)
    )

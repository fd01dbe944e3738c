"""
title: Token budget
author: Sluicegate
version: 1.0.0
license: MIT
description: Leaves out the oldest messages of a conversation that is too long for its model.

Counts the tokens of all messages and, while they are more than the budget, leaves out the oldest.
System messages, the last question and the newest message always stay. A call of tools and its
results stay or go together, and an answer goes when its question has gone.

Valves
- budget: tokens for all messages (4000); leave room in the model's window for the answer
- counter: `estimate` (a token is four characters) or `tiktoken`, if it is installed; else estimate
- encoding: which of tiktoken's encodings (`cl100k_base`)
- image_tokens: what an image counts (765)
- overflow: what to do when even what always stays is over the budget, `send` it or `refuse` with
  status 413 (send)
- priority: place in the chain (0)

Example
- with a budget of 100, a system message of 20 and five exchanges of 40 each, the system message
  and the two newest exchanges are sent

Limits
- Messages are never cut in the middle. The estimate is rough for text that is not English.
- tiktoken fetches its encoding over the network when it is first used, unless that is stored.
- Definitions of tools in the request are not counted.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, Field

try:
    from fastapi import HTTPException
except ImportError:

    class HTTPException(Exception):  # type: ignore[no-redef]
        """Stands in where fastapi is not installed; hosts look at these two attributes."""

        def __init__(self, status_code: int, detail: str) -> None:
            super().__init__(f"{status_code}: {detail}")
            self.status_code = status_code
            self.detail = detail


Message = dict[str, Any]
# Messages that stay or go together.
Unit = list[Message]
Counter = Callable[[str], int]

MESSAGE_TOKENS = 4  # role and separators, as OpenAI counts them
CHARS_PER_TOKEN = 4


class Filter:
    """Keeps a conversation within a budget of tokens."""

    class Valves(BaseModel):
        """What the operator sets."""

        priority: int = Field(default=0, description="Place in the chain, lowest first.")
        budget: int = Field(default=4000, ge=1, description="Tokens for all messages.")
        counter: Literal["estimate", "tiktoken"] = Field(
            default="estimate", description="How to count tokens."
        )
        encoding: str = Field(default="cl100k_base", description="Encoding of tiktoken.")
        image_tokens: int = Field(default=765, ge=0, description="What an image counts.")
        overflow: Literal["send", "refuse"] = Field(
            default="send", description="When even what always stays is over the budget."
        )

    def __init__(self) -> None:
        self.valves = self.Valves()

    def inlet(self, body: dict[str, Any]) -> dict[str, Any]:
        """Leaves out what is over the budget."""
        units = list(_units(body.get("messages", [])))
        kept = _clip(units, self._costs(units), self.valves.budget)
        if self.valves.overflow == "refuse":
            self._refuse_overflow(kept)
        body["messages"] = [message for unit in kept for message in unit]
        return body

    def _costs(self, units: list[Unit]) -> list[int]:
        valves = self.valves
        count = _tiktoken(valves.encoding) if valves.counter == "tiktoken" else _estimate
        return [sum(_cost(message, count, valves.image_tokens) for message in u) for u in units]

    def _refuse_overflow(self, kept: list[Unit]) -> None:
        total = sum(self._costs(kept))
        if total > self.valves.budget:
            detail = f"Too long: about {total} tokens, {self.valves.budget} are allowed."
            raise HTTPException(413, detail)


def _estimate(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)


@lru_cache(maxsize=4)
def _tiktoken(encoding: str) -> Counter:
    try:
        import tiktoken  # type: ignore[import-not-found, unused-ignore]

        encode = tiktoken.get_encoding(encoding).encode
    except Exception:  # not installed, unknown, or its file cannot be fetched: all the same here
        return _estimate
    return lambda text: len(encode(text, disallowed_special=()))


def _cost(message: Message, count: Counter, image_tokens: int) -> int:
    parts = message.get("content")
    if not isinstance(parts, list):
        parts = [{"type": "text", "text": parts}]
    texts = [str(part.get("text") or "") for part in parts]
    calls = [call.get("function") or {} for call in message.get("tool_calls") or []]
    texts += [str(call.get(key) or "") for call in calls for key in ("name", "arguments")]
    images = [part for part in parts if part.get("type") == "image_url"]
    return MESSAGE_TOKENS + sum(map(count, texts)) + len(images) * image_tokens


def _units(messages: list[Message]) -> Iterator[Unit]:
    """The messages in order, results of tools together with what called for them."""
    unit: Unit = []
    for message in messages:
        if unit and message.get("role") not in ("tool", "function"):
            yield unit
            unit = []
        unit.append(message)
    if unit:
        yield unit


def _role(unit: Unit) -> str:
    return str(unit[0].get("role"))


def _is_system(unit: Unit) -> bool:
    return _role(unit) in ("system", "developer")


def _clip(units: list[Unit], costs: list[int], budget: int) -> list[Unit]:
    """Leaves out units from the oldest on until the rest is within the budget."""
    if sum(costs) <= budget:
        return units
    pinned = _pinned(units)
    over = sum(costs) - budget
    gone: set[int] = set()
    for place, cost in enumerate(costs):
        if over > 0 and place not in pinned:
            over -= cost
            gone.add(place)
    gone |= _answers_without_question(units, gone, pinned)
    return [unit for place, unit in enumerate(units) if place not in gone]


def _pinned(units: list[Unit]) -> set[int]:
    """The places of what always stays."""
    questions = [place for place, unit in enumerate(units) if _role(unit) == "user"]
    systems = {place for place, unit in enumerate(units) if _is_system(unit)}
    return systems | set(questions[-1:]) | {len(units) - 1}


def _answers_without_question(units: list[Unit], gone: set[int], pinned: set[int]) -> set[int]:
    """The answers at the head of what is left."""
    answers: set[int] = set()
    for place, unit in enumerate(units):
        if place not in gone and not _is_system(unit):
            if _role(unit) == "user" or place in pinned:
                break
            answers.add(place)
    return answers if gone else set()

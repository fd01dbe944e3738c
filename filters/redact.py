"""
title: Redact
author: Sluicegate
version: 1.0.0
license: MIT
description: Takes mail addresses, phone and card numbers out of questions and answers.

Replaces what it finds by a marker such as `[mail]`: in what the user writes (inlet), in whole
answers (outlet) and in streamed answers (stream), where a match may lie across any number of
chunks. Of a stream it holds back only the end that may still become a match, and gives it out
with the finish reason. What reaches the client, joined, is what the whole text gives when it is
redacted at once. Reasoning, refusals and the arguments of tool calls are treated like the answer;
arguments stay valid JSON.

Valves
- mail, phone, card: which kinds to look for (all on)
- replacement: the marker, `{kind}` stands for the kind (`[{kind}]`)
- requests, answers: which direction to treat (both on)
- roles: whose messages to treat in requests, divided by commas (`user`; add `tool` for results)
- priority: place in the chain (0); put it late, so that it sees what other filters add

Example
- "Write to ann@example.com or call +49 171 2345678" arrives as "Write to [mail] or call [phone]"

What counts as a match
- mail: Latin letters; at most 64 characters before the @, a top-level domain that is no number
- phone: with a leading + or 00; with a leading 0 and 9 to 13 digits; or grouped 3-3-4. Bare digits
  in any other shape may be an id or a time, and stay
- card: 13 to 19 digits, singly spaced or dashed at most, first digit 2 to 9, right by the Luhn sum

Limits
- A small number right after a phone number, with only a space between, is taken for its end.
- Token probabilities spell out the answer, so `logprobs` are switched off; whole answers are asked
  for singly (`n`), as a host shows `outlet` one answer only.
- Reasoning is taken for finished when the answer begins; each field is a text of its own.
- A stream that ends with neither a finish reason nor a usage event loses what was held back.
- In arguments a bare number that is a card becomes a text; were it negative or a fraction, the rest
  would be no JSON. An argument that a tool needs as a number is then of the wrong type.
- The input of custom tools, audio transcripts and annotations are not looked at.
- The host must hand `stream` parsed events; one that hands it raw lines gets an error, not a leak.
- Under Sluicegate a refusal is safer than an accident: set `outlet_error = "closed"`.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

# Both alphabets are Latin on purpose: with all of Unicode, an address inside a sentence that is
# written without spaces would take the sentence with it.
LETTER = r"A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
WORD = rf"{LETTER}0-9_"
LOCAL = rf"{WORD}.+%'~&\-"
SPACE = r" \u00a0\u2009\u202f"
DASH = r"\-\u2010-\u2015"
GAP = rf"[{SPACE}{DASH}./()]{{0,2}}"

MAIL = rf"""
    (?<![{WORD}]) [{WORD}][{LOCAL}]{{0,63}}
    @ (?: [{WORD}\-]{{1,63}} \. ){{1,7}}
    [{LETTER}][{WORD}\-]{{0,61}}[{LETTER}0-9]
"""
# Neither inside a longer number nor the fraction of one.
NO_NUMBER_BEFORE = r"(?<![0-9]) (?<![0-9]\.)"
CARD = rf"{NO_NUMBER_BEFORE} [2-9] (?: [{SPACE}{DASH}]? [0-9] ){{12,18}}"
INTERNATIONAL = rf"(?<![0-9+]) (?: \+ | 00 ) [{SPACE}]? [1-9] (?: {GAP} [0-9] ){{7,14}} (?![0-9])"
DATE = r"[0-9]{2} [./\-] [0-9]{2} [./\-] [0-9]{4} (?![0-9])"
TRUNK = rf"(?<![0-9][./\-]) \(? 0[1-9] (?: {GAP} [0-9] ){{7,11}} (?![0-9A-Za-z])"
GROUPED = rf"""
    (?: \( [2-9][0-9]{{2}} \) [{SPACE}]? [0-9]{{3}} [{SPACE}{DASH}.]?
      | (?: 1 [{SPACE}{DASH}.] )? [2-9][0-9]{{2}} [{SPACE}{DASH}.] [0-9]{{3}} [{SPACE}{DASH}.] )
    [0-9]{{4}} (?![0-9A-Za-z])
"""
NATIONAL = rf"(?<![A-Za-z]) {NO_NUMBER_BEFORE} (?: (?! {DATE} ) {TRUNK} | {GROUPED} )"
PHONE = rf"(?: {INTERNATIONAL} | {NATIONAL} )"

# What may still become a match if more text comes: a run of the characters of a match that
# reaches the end, no longer than the longest match with what it looks at behind itself.
OPEN_MAIL = rf"(?<![{WORD}]) [{WORD}][{LOCAL}]{{0,63}} (?: @ [{WORD}.\-]{{0,511}} )? \Z"
OPEN_NUMBER = rf"(?<![0-9]) [+(0-9] [0-9{SPACE}{DASH}./()+]{{0,48}} \Z"
LOOK_BEHIND = 2
DIGITS = frozenset("0123456789")

# In this order: the first kind that matches at a place wins.
PATTERNS = {"mail": MAIL, "card": CARD, "phone": PHONE}
OPENINGS = {"mail": OPEN_MAIL, "card": OPEN_NUMBER, "phone": OPEN_NUMBER}

TEXT_FIELDS = ("content", "refusal", "reasoning_content", "reasoning")
REASONING_FIELDS = ("reasoning_content", "reasoning")


def _pattern(text: str) -> re.Pattern[str]:
    """Compiles a pattern that is written with spaces; those in brackets count."""
    return re.compile(text, re.VERBOSE)


PHONE_PATTERN = _pattern(PHONE)


class Match(NamedTuple):
    """A place in a text and what stands there."""

    start: int
    stop: int
    kind: str


class Redactor:
    """What to look for and what to put in its place; holds no text."""

    def __init__(self, kinds: Iterable[str], replacement: str = "[{kind}]") -> None:
        chosen = set(kinds)
        self._kinds = [kind for kind in PATTERNS if kind in chosen]
        self._replacement = replacement
        self._pattern = _pattern("|".join(f"(?P<{k}>{PATTERNS[k]})" for k in self._kinds))
        openings = dict.fromkeys(OPENINGS[kind] for kind in self._kinds)
        self._opening = _pattern("|".join(f"(?:{opening})" for opening in openings))

    def redact(self, text: str) -> str:
        """Redacts a whole text."""
        return Scanner(self).feed(text, last=True)

    def marker(self, kind: str) -> str:
        """What stands in the place of a match."""
        return self._replacement.replace("{kind}", kind)

    def scan(self, text: str, start: int, last: bool) -> tuple[list[Match], int]:
        """The matches from `start` on that no further text can change, and where that ends."""
        found: list[Match] = []
        while True:
            decided = len(text) if last else self._decided(text, start)
            match = self._next(text, start)
            if match is None or match.start >= decided:
                return found, decided
            found.append(match)
            start = match.stop

    def _decided(self, text: str, start: int) -> int:
        if not self._kinds:
            return len(text)
        opening = self._opening.search(text, start)
        return opening.start() if opening else len(text)

    def _next(self, text: str, start: int) -> Match | None:
        if not self._kinds:
            return None
        while candidate := self._pattern.search(text, start):
            if match := self._confirm(text, candidate):
                return match
            start = candidate.start() + 1
        return None

    def _confirm(self, text: str, candidate: re.Match[str]) -> Match | None:
        start, stop, kind = candidate.start(), candidate.end(), str(candidate.lastgroup)
        if kind != "card":
            return Match(start, stop, kind)
        card_end = _card_end(text, start, stop)
        if card_end:
            return Match(start, card_end, kind)
        phone = PHONE_PATTERN.match(text, start) if "phone" in self._kinds else None
        return Match(start, phone.end(), "phone") if phone else None


def _card_end(text: str, start: int, stop: int) -> int | None:
    """Where the longest card number ends that begins at `start` and ends by `stop`."""
    for end in range(stop, start + 12, -1):
        ends_group = text[end - 1] in DIGITS and text[end : end + 1] not in DIGITS
        digits = [int(char) for char in text[start:end] if char in DIGITS]
        if ends_group and len(digits) >= 13 and _is_luhn(digits):
            return end
    return None


def _is_luhn(digits: list[int]) -> bool:
    doubled = (2 * digit - 9 * (digit > 4) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


class Scanner:
    """Redacts one text that comes in pieces."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = ""
        self._start = 0  # what stands before it is out already, kept for the patterns to look at

    def feed(self, piece: str, last: bool = False) -> str:
        """Takes a piece and gives what can be given out; with `last` all of it."""
        self._append(piece, last)
        matches, end = self._redactor.scan(self._text, self._start, last)
        given: list[str] = []
        for match in matches:
            given += [self._source(self._start, match.start), self._marker(match)]
            self._start = match.stop
        given.append(self._source(self._start, end))
        self._forget(max(self._start, end))
        return "".join(given)

    def _append(self, piece: str, last: bool) -> None:
        self._text += piece

    def _source(self, start: int, stop: int) -> str:
        return self._text[start:stop]

    def _marker(self, match: Match) -> str:
        return self._redactor.marker(match.kind)

    def _forget(self, end: int) -> None:
        cut = max(0, end - LOOK_BEHIND)
        self._text = self._text[cut:]
        self._start = end - cut


class Cell(NamedTuple):
    """A character of a JSON text: how it is written, and whether it stands in a string."""

    source: str
    in_string: bool


class JsonScanner(Scanner):
    r"""Redacts JSON text in pieces: sees through escapes (`\u0040` is an @) and keeps it JSON."""

    # An escape that is not complete yet waits; one that never will be is taken as it stands.
    _CELL = re.compile(r"\\u[0-9a-fA-F]{4}|\\(?!u)[\s\S]|[^\\]")
    _SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
    _LONGEST_ESCAPE = 6

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(redactor)
        self._cells: list[Cell] = []
        self._unread = ""
        self._in_string = False

    def _append(self, piece: str, last: bool) -> None:
        unread = self._unread + piece
        position = 0
        while position < len(unread):
            cell = self._CELL.match(unread, position)
            if cell is None and not last and len(unread) - position < self._LONGEST_ESCAPE:
                break
            source = cell.group() if cell else unread[position]
            self._add(source)
            position += len(source)
        self._unread = unread[position:]

    def _add(self, source: str) -> None:
        if source == '"':
            self._in_string = not self._in_string
        self._cells.append(Cell(source, self._in_string))
        self._text += self._meaning(source)

    def _meaning(self, source: str) -> str:
        if len(source) == 6:
            return chr(int(source[2:], 16))
        return self._SHORT.get(source[1:], source[-1]) if len(source) == 2 else source

    def _source(self, start: int, stop: int) -> str:
        return "".join(cell.source for cell in self._cells[start:stop])

    def _marker(self, match: Match) -> str:
        quoted = json.dumps(super()._marker(match), ensure_ascii=False)
        return quoted[1:-1] if self._cells[match.start].in_string else quoted

    def _forget(self, end: int) -> None:
        del self._cells[: max(0, end - LOOK_BEHIND)]
        super()._forget(end)


class Answers:
    """The scanners of one streamed request: one for each field of each choice."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._choices: dict[int, Choice] = {}

    def event(self, event: dict[str, Any]) -> dict[str, Any]:
        """Redacts one event of the stream, in place."""
        choices = event.get("choices")
        if not isinstance(choices, list):
            return event
        if not choices and event.get("usage"):
            event["choices"] = list(self._rest())
        for choice in choices:
            if isinstance(choice, dict):
                self._choice(choice.get("index")).chunk(choice)
        return event

    def _choice(self, index: Any) -> "Choice":
        key = index if isinstance(index, int) else 0
        return self._choices.setdefault(key, Choice(self._redactor))

    def _rest(self) -> Iterator[dict[str, Any]]:
        """What an upstream that gives no finish reason would leave behind."""
        for index, choice in self._choices.items():
            delta: dict[str, Any] = {}
            choice.finish(delta)
            if delta:
                yield {"index": index, "delta": delta, "finish_reason": None}


class Choice:
    """The texts of one choice that are under way."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._texts: dict[str, Scanner] = {}
        # By the index of the tool call; None is the old `function_call`.
        self._calls: dict[int | None, Scanner] = {}

    def chunk(self, choice: dict[str, Any]) -> None:
        """Redacts one chunk of this choice, in place."""
        if choice.get("logprobs"):
            choice["logprobs"] = None
        if isinstance(choice.get("message"), dict):
            redact_message(self._redactor, choice["message"])
        delta = choice["delta"] if isinstance(choice.get("delta"), dict) else {}
        self._delta(delta)
        if choice.get("finish_reason"):
            self.finish(delta)
        if delta:
            choice["delta"] = delta

    def _delta(self, delta: dict[str, Any]) -> None:
        answer_begins = bool(delta.get("content")) and "content" not in self._texts
        for field in TEXT_FIELDS:
            if delta.get(field):
                delta[field] = self._text(field, delta[field])
        if answer_begins:
            self._finish_texts(delta, REASONING_FIELDS)
        for position, call in enumerate(_dicts(delta.get("tool_calls"))):
            self._arguments(call.get("index", position), call.get("function"))
        self._arguments(None, delta.get("function_call"))

    def _text(self, field: str, value: Any) -> Any:
        scanner = self._texts.setdefault(field, Scanner(self._redactor))
        if isinstance(value, str):
            return scanner.feed(value)
        for part in _dicts(value):
            if isinstance(part.get("text"), str):
                part["text"] = scanner.feed(part["text"])
        return value

    def _arguments(self, call: int | None, function: Any) -> None:
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            scanner = self._calls.setdefault(call, JsonScanner(self._redactor))
            function["arguments"] = scanner.feed(function["arguments"])

    def finish(self, delta: dict[str, Any]) -> None:
        """Adds to `delta` all that was held back."""
        self._finish_texts(delta, TEXT_FIELDS)
        for call, scanner in self._calls.items():
            if rest := scanner.feed("", last=True):
                self._add_arguments(delta, call, rest)

    def _finish_texts(self, delta: dict[str, Any], fields: Iterable[str]) -> None:
        for field in fields:
            rest = self._texts[field].feed("", last=True) if field in self._texts else ""
            if rest and isinstance(delta.get(field), list):
                delta[field].append({"type": "text", "text": rest})
            elif rest:
                delta[field] = (delta.get(field) or "") + rest

    def _add_arguments(self, delta: dict[str, Any], call: int | None, rest: str) -> None:
        if call is None:
            function = delta["function_call"] = delta.get("function_call") or {}
            function["arguments"] = (function.get("arguments") or "") + rest
        else:
            calls = delta["tool_calls"] = delta.get("tool_calls") or []
            calls.append({"index": call, "function": {"arguments": rest}})


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def redact_message(redactor: Redactor, message: dict[str, Any]) -> None:
    """Redacts all texts of a whole message, in place."""
    for field in TEXT_FIELDS:
        if isinstance(message.get(field), str):
            message[field] = redactor.redact(message[field])
        for part in _dicts(message.get(field)):
            if isinstance(part.get("text"), str):
                part["text"] = redactor.redact(part["text"])
    calls = [call.get("function") for call in _dicts(message.get("tool_calls"))]
    for function in _dicts([*calls, message.get("function_call")]):
        if isinstance(function.get("arguments"), str):
            function["arguments"] = JsonScanner(redactor).feed(function["arguments"], last=True)


# Kept by request, not on the filter: one instance serves all requests at once.
_ANSWERS: ContextVar[Answers] = ContextVar("answers")


class Filter:
    """Redacts questions, answers and streams."""

    class Valves(BaseModel):
        """What the operator sets."""

        priority: int = Field(default=0, description="Place in the chain, lowest first.")
        mail: bool = Field(default=True, description="Look for mail addresses.")
        phone: bool = Field(default=True, description="Look for phone numbers.")
        card: bool = Field(default=True, description="Look for payment card numbers.")
        replacement: str = Field(default="[{kind}]", description="Marker; {kind} is the kind.")
        requests: bool = Field(default=True, description="Treat what goes to the model.")
        answers: bool = Field(default=True, description="Treat what comes from the model.")
        roles: str = Field(default="user", description="Whose messages to treat, by commas.")

    def __init__(self) -> None:
        self.valves = self.Valves()

    def inlet(self, body: dict[str, Any]) -> dict[str, Any]:
        """Redacts the request and begins the state of its answer."""
        redactor = self._redactor()
        if self.valves.requests:
            self._redact_request(redactor, body)
        if self.valves.answers:
            self._prepare_answers(redactor, body)
        return body

    def stream(self, event: dict[str, Any]) -> dict[str, Any]:
        """Redacts one event of a streamed answer."""
        if not self.valves.answers:
            return event
        if not isinstance(event, dict):
            raise TypeError("redact: this host hands `stream` unparsed events")
        return self._answers().event(event)

    def outlet(self, body: dict[str, Any]) -> dict[str, Any]:
        """Redacts a whole answer."""
        messages = _dicts(body.get("messages"))
        if self.valves.answers and messages and messages[-1].get("role") == "assistant":
            redact_message(self._redactor(), messages[-1])
        return body

    def _redactor(self) -> Redactor:
        kinds = [kind for kind in PATTERNS if getattr(self.valves, kind)]
        return Redactor(kinds, self.valves.replacement)

    def _redact_request(self, redactor: Redactor, body: dict[str, Any]) -> None:
        roles = {role.strip() for role in self.valves.roles.split(",")}
        for message in _dicts(body.get("messages")):
            if message.get("role") in roles:
                redact_message(redactor, message)

    def _prepare_answers(self, redactor: Redactor, body: dict[str, Any]) -> None:
        _ANSWERS.set(Answers(redactor))
        body.pop("logprobs", None)
        body.pop("top_logprobs", None)
        if not body.get("stream"):
            body.pop("n", None)

    def _answers(self) -> Answers:
        answers = _ANSWERS.get(None)
        if answers is None:
            answers = Answers(self._redactor())
            _ANSWERS.set(answers)
        return answers

"""Events that are alike are copied rather than read and written: nobody may be able to tell."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from driver import Kind, Worker

#: What a function may do to an event, each with what that comes to.
CHANGES = {
    "nothing": "pass",
    "text": "event['choices'][0]['delta']['content'] += ' \"more\" \\n\\u00e9'",
    "other text": "event['id'] = 'other'",
    "two texts": "event['id'] = event['choices'][0]['delta']['content'] = event['model']",
    "number": "event['created'] = 2**70",
    "float": "event['created'] = 1.5",
    "truth": "event['choices'][0]['index'] = False",
    "nothing there": "event['choices'][0]['delta']['content'] = None",
    "list": "event['choices'].append({'index': 1})",
    "empty list": "event['choices'].clear()",
    "replaced by list": "event['model'] = ['a', {'b': None}]",
    "replaced by its like": "event['choices'] = [{**choice} for choice in event['choices']]",
    "added": "event['new'] = 1",
    "removed": "del event['model']",
    "moved": "event['id'] = event.pop('id')",
    "renamed": "event['name'] = event.pop('finish')",
    "swapped": "event['a'], event['b'] = event['b'], event['a']",
    "tuple": "event['a'] = (1, 'x')",
    "text of its own kind": "event['a'] = type('Text', (str,), {})('mine')",
}


def source(change: str) -> str:
    """A filter that does this to each event."""
    return f"class Filter:\n    def stream(self, event):\n        {change}\n        return event\n"


def event(content: str, **more: Any) -> dict[str, Any]:
    """One of many that differ in their content."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "logprobs": None}
    return {"id": "é\n", "created": 1.0, "a": {}, "b": [], "model": "m", "choices": [choice], "finish": "", **more}


CONTENTS = ["", " a", "word", "word", 'say "so"', "back\\slash", "tab\t", "😀é", "\x7f", "x" * 300, "end"]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("size", [1, 4, 20])
def test_alike_events_are_changed_as_any(worker: Worker, name: str, size: int) -> None:
    request = worker.open(worker.load(source(CHANGES[name])))
    events = [event(content) for content in CONTENTS]
    done: list[Any] = []
    for start in range(0, len(events), size):
        done += worker.streamed(request, events[start : start + size])
    for given, made in zip(events, done, strict=True):
        expected = json.loads(json.dumps(given))
        exec(CHANGES[name], {"event": expected})
        assert pairs(json.dumps(made)) == pairs(json.dumps(expected))


def pairs(text: str) -> Any:
    """What a JSON text says, with the order of its members."""
    return json.loads(text, object_pairs_hook=lambda members: [list(member) for member in members])


def test_what_is_left_alone_is_the_text_that_came(worker: Worker) -> None:
    request = worker.open(worker.load(source(CHANGES["nothing"])))
    texts = [f'{{ "n" : 1.50e2, "t":"\\u0041", "c": "{content}" }}' for content in ("a", "b", "c d")]
    assert worker.streamed_texts(request, texts)[1:] == texts[1:]


def test_a_function_may_keep_and_change_what_it_was_given_before(worker: Worker) -> None:
    code = """
class Filter:
    def __init__(self):
        self.before = []
    def stream(self, event):
        for before in self.before:
            before["list"].append("late")
            before["text"] = "late"
        self.before.append(event)
        return event
"""
    request = worker.open(worker.load(code))
    for content in ("a", "b", "c", "d"):
        given = {"text": content, "list": [1, {"x": []}]}
        assert worker.streamed(request, [given]) == [given]


@pytest.mark.parametrize("template", ['{{"c":"{}","c":1}}', '{{"c":{{"s":"{}"}},"c":1}}', '{{"a":{{"c":"x","c":"{}"}}}}'])
def test_what_a_second_member_of_its_name_hides_is_gone(worker: Worker, template: str) -> None:
    request = worker.open(worker.load(source("pass")))
    for content in ("one", "two", "three"):
        given = template.format(content)
        (made,) = worker.streamed_texts(request, [given])
        assert pairs(made) == pairs(json.dumps(json.loads(given)))


@pytest.mark.parametrize("content", ['","m":"x', 'a","c":"b', '\\",\\"m\\":\\"', "\\u0022", '"'])
def test_no_content_passes_for_members(worker: Worker, content: str) -> None:
    request = worker.open(worker.load("class Filter:\n    def stream(self, event): return {**event, 'n': len(event)}\n"))
    for text in ("first", "second", content, "third"):
        given = f'{{"c":"{text}","d":1}}'
        try:
            expected = json.loads(given)
        except ValueError:
            continue
        assert worker.streamed_texts(request, [given]) == [
            json.dumps({**expected, "n": len(expected)}, separators=(",", ":"))
        ]


def test_a_number_without_a_word_is_told_with_its_place(worker: Worker) -> None:
    request = worker.open(worker.load(source("event['created'] = float('nan')")))
    worker.batch(request, [json.dumps(event("a"))])
    answer = worker.batch(request, [json.dumps(event("b")), json.dumps(event("c"))])
    assert answer.kind == Kind.ERROR
    assert answer.json["message"].endswith("NaN at `value.events[0].created`")


def test_random_streams(worker: Worker) -> None:
    draw = random.Random(20261122)
    request = worker.open(worker.load(source("event['t'] = event.get('t', '') + '!'")))
    given: dict[str, Any] = {}
    for _ in range(400):
        if draw.random() < 0.1:
            names = draw.sample(["t", "u", "v", "w"], draw.randrange(5))
            given = {name: draw.choice([1, None, [], {"t": "x"}, "text", [["t"]]]) for name in names}
        if draw.random() < 0.9:
            given = {**given, "t": draw.choice(CONTENTS)}
        given.setdefault("t", "")
        if not isinstance(given["t"], str):
            given["t"] = ""
        batch = [given] * draw.randrange(1, 4)
        expected = {**given, "t": given["t"] + "!"}
        assert worker.streamed(request, batch) == [expected] * len(batch)

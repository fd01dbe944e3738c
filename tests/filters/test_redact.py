"""Claims of `redact.py`, but for the splitting of streams (`test_redact_stream.py`)."""

import json
from types import ModuleType
from typing import Any

import pytest
from conftest import Load

KINDS = ("mail", "card", "phone")


@pytest.fixture
def module(load: Load) -> ModuleType:
    return load("redact")


def redact(module: ModuleType, text: str, kinds: tuple[str, ...] = KINDS) -> str:
    return str(module.Redactor(kinds).redact(text))


def redact_json(module: ModuleType, text: str, replacement: str = "[{kind}]") -> str:
    scanner = module.JsonScanner(module.Redactor(KINDS, replacement))
    return str(scanner.feed(text, last=True))


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Write to ann@example.com or call", "Write to [mail] or call"),
        ("ann@example.com.", "[mail]."),
        ("<ann.b+c%d@a-b.co.uk>", "<[mail]>"),
        ("**ann@example.com** 'ann@example.com'", "**[mail]** '[mail]'"),
        ("o'brien@example.com", "[mail]"),
        ("jürgen@bücher.example", "[mail]"),
        ("ann@xn--e1afmkfd.xn--p1ai", "[mail]"),
        ("问ann@example.com吧", "问[mail]吧"),
        (f"{'a' * 64}@example.com", "[mail]"),
        ("ann@example", "ann@example"),
        ("react@18.2.0", "react@18.2.0"),
        ("@ann ann@ @example.com", "@ann ann@ @example.com"),
        (f"{'a' * 65}@example.com", f"{'a' * 65}@example.com"),
    ],
)
def test_mail(module: ModuleType, text: str, redacted: str) -> None:
    assert redact(module, text) == redacted


@pytest.mark.parametrize(
    "number",
    [
        "+49 171 2345678",
        "+49 (0)30 123456",
        "+491712345678",
        "+1 (555) 123-4567",
        "+1 (555) 123\u20114567",
        "0049 30 123456",
        "0171 2345678",
        "0171/2345678",
        "(030) 1234567",
        "06 12 34 56 78",
        "06.12.34.56.78",
        "020 7946 0958",
        "555-123-4567",
        "555.123.4567",
        "(555) 123-4567",
        "(555)1234567",
        "1-555-123-4567",
        "555\u00a0123\u00a04567",
    ],
)
def test_phone(module: ModuleType, number: str) -> None:
    assert redact(module, number) == "[phone]"
    assert redact(module, f"Call {number}, please.") == "Call [phone], please."


@pytest.mark.parametrize(
    "text",
    [
        "5551234567",
        "1712345678",
        "1712345678901",
        "2024-01-15 10:30",
        "2024-01-15/2024-02-20",
        "01/15/2024 10:30",
        "192.168.100.200",
        "0.5772156649015329",
        "555.1234567",
        "550e8400-e29b-41d4-a716-446655440000",
        "f0123456789ab",
        "+1234567890123456789",
        "10 000 000 items",
    ],
)
def test_other_numbers_stay(module: ModuleType, text: str) -> None:
    assert redact(module, text) == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("4111111111111111", "[card]"),
        ("4111 1111 1111 1111", "[card]"),
        ("5555-5555-5555-4444", "[card]"),
        ("378282246310005", "[card]"),
        ("4222222222222", "[card]"),
        ("6304000000000000000", "[card]"),
        ("4111 1111 1111 1111 12/27", "[card] 12/27"),
        ("id 1234 4111 1111 1111 1111", "id 1234 [card]"),
        ("x4111111111111111y", "x[card]y"),
        ("4111111111111112", "4111111111111112"),
        ("4111  1111  1111  1111", "4111  1111  1111  1111"),
        ("1234567812345670", "1234567812345670"),
        ("41111111111111110000", "41111111111111110000"),
        ("0.4111111111111111", "0.4111111111111111"),
    ],
)
def test_card(module: ModuleType, text: str, redacted: str) -> None:
    assert redact(module, text) == redacted


def test_a_small_number_right_behind_a_phone_number_is_taken_for_its_end(
    module: ModuleType,
) -> None:
    assert redact(module, "+49 171 2345678 2 apples") == "[phone] apples"


def test_what_is_no_card_may_be_a_phone_number(module: ModuleType) -> None:
    assert redact(module, "555-123-4567 890") == "[phone] 890"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_the_only_one(module: ModuleType, kind: str) -> None:
    samples = {"mail": "a@b.de", "card": "4111111111111111", "phone": "+49 171 2345678"}
    changed = redact(module, ", ".join(samples.values()), (kind,))
    assert changed == ", ".join({**samples, kind: f"[{kind}]"}.values())


def test_no_kind_changes_nothing(module: ModuleType) -> None:
    assert redact(module, "a@b.de", ()) == "a@b.de"


def test_redacting_again_changes_nothing(module: ModuleType) -> None:
    once = redact(module, "a@b.de@c.de 4111111111111111@x.de +49 171 2345678@")
    assert redact(module, once) == once


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (r'{"to": "ann@example.com"}', r'{"to": "[mail]"}'),
        (r'{"to": "ann\u0040example.com"}', r'{"to": "[mail]"}'),
        (r'{"to": "\nann@example.com\n"}', r'{"to": "\n[mail]\n"}'),
        (r'{"to": "m\u00fcller@example.com"}', r'{"to": "[mail]"}'),
        (r'{"to": "\ud83d\ude00ann@example.com"}', r'{"to": "\ud83d\ude00[mail]"}'),
        (r'{"to": "\"ann@example.com\""}', r'{"to": "\"[mail]\""}'),
        (r'{"tel": "0171\/2345678"}', r'{"tel": "[phone]"}'),
        (r'{"card": 4111111111111111}', r'{"card": "[card]"}'),
        (r'{"n": [1, 2.5, 1712345678, -3]}', r'{"n": [1, 2.5, 1712345678, -3]}'),
        (r"{'to': ann@example.com}", r"""{'to': "[mail]"}"""),
    ],
)
def test_arguments_are_seen_through_their_escapes(
    module: ModuleType, text: str, redacted: str
) -> None:
    assert redact_json(module, text) == redacted


def test_arguments_stay_json_with_any_replacement(module: ModuleType) -> None:
    text = redact_json(module, '{"a": "x ann@b.de", "b": 4111111111111111}', '"\\\n{kind}')
    assert json.loads(text) == {"a": 'x "\\\nmail', "b": '"\\\ncard'}


@pytest.mark.parametrize("text", ["\\", '"\\', '"\\u', '"\\u12', '"\\u12"}', "\\u12345", '"\\x"'])
def test_broken_arguments_pass_unchanged(module: ModuleType, text: str) -> None:
    assert redact_json(module, text) == text


def request(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **more}


def configured(module: ModuleType, **valves: Any) -> Any:
    function = module.Filter()
    function.valves = module.Filter.Valves(**valves)
    return function


def test_inlet_redacts_what_the_user_writes_and_nothing_else(module: ModuleType) -> None:
    other = {"role": "system", "content": "help@b.de"}
    body = module.Filter().inlet(request(other, {"role": "user", "content": "I am a@b.de"}))
    assert body["messages"] == [other, {"role": "user", "content": "I am [mail]"}]


def test_inlet_redacts_parts_and_leaves_images(module: ModuleType) -> None:
    image = {"type": "image_url", "image_url": {"url": "http://a@b.de/x.png"}}
    parts = [{"type": "text", "text": "a@b.de"}, image, "odd"]
    body = module.Filter().inlet(request({"role": "user", "content": parts}))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "[mail]"}, image, "odd"]


def test_roles_choose_whose_messages_are_treated(module: ModuleType) -> None:
    messages = [{"role": role, "content": "a@b.de"} for role in ("user", "tool", "assistant")]
    body = configured(module, roles="user, tool").inlet(request(*messages))
    assert [item["content"] for item in body["messages"]] == ["[mail]", "[mail]", "a@b.de"]


def test_replacement_and_kinds_are_valves(module: ModuleType) -> None:
    text = "a@b.de, +49 171 2345678, 4111111111111111"
    function = configured(module, phone=False, card=False, replacement="<{kind} gone>")
    body = function.inlet(request({"role": "user", "content": text}))
    assert body["messages"][0]["content"] == "<mail gone>, +49 171 2345678, 4111111111111111"


def test_inlet_switches_off_what_would_get_round_it(module: ModuleType) -> None:
    asked = {"logprobs": True, "top_logprobs": 5, "n": 2}
    assert module.Filter().inlet(request(**asked)) == request()
    assert module.Filter().inlet(request(stream=True, **asked)) == request(stream=True, n=2)


def test_outlet_redacts_the_last_answer_whole(module: ModuleType) -> None:
    call = {"function": {"name": "mail", "arguments": '{"to": "\\na@b.de"}'}}
    answer = {
        "role": "assistant",
        "content": "a@b.de",
        "reasoning_content": "a@b.de",
        "refusal": None,
        "tool_calls": [call],
    }
    body = module.Filter().outlet(request({"role": "user", "content": "a@b.de"}, answer))
    assert body["messages"] == [
        {"role": "user", "content": "a@b.de"},
        {
            "role": "assistant",
            "content": "[mail]",
            "reasoning_content": "[mail]",
            "refusal": None,
            "tool_calls": [{"function": {"name": "mail", "arguments": '{"to": "\\n[mail]"}'}}],
        },
    ]


def test_outlet_without_an_answer_changes_nothing(module: ModuleType) -> None:
    body = request({"role": "user", "content": "a@b.de"})
    assert module.Filter().outlet(dict(body)) == body
    assert module.Filter().outlet({}) == {}


def test_each_direction_can_be_off(module: ModuleType) -> None:
    mine, answer = {"role": "user", "content": "a@b.de"}, {"role": "assistant", "content": "a@b.de"}
    body = configured(module, requests=False).inlet(request(dict(mine)))
    assert body["messages"] == [mine]
    function = configured(module, answers=False)
    assert function.inlet(request(logprobs=True)) == request(logprobs=True)
    assert function.outlet(request(dict(answer)))["messages"] == [answer]
    event = {"choices": [{"index": 0, "delta": {"content": "a@b.de"}}]}
    assert function.stream(event)["choices"][0]["delta"]["content"] == "a@b.de"

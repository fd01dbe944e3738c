"""Claims of `system_prompt.py`."""

import zoneinfo
from datetime import datetime
from types import ModuleType
from typing import Any

import pytest
from conftest import Load

ASK = {"role": "user", "content": "q"}
OLD = {"role": "system", "content": "old"}
USER = {"id": "u1", "name": "Ann", "email": "ann@example.com", "role": "user"}


class FixedClock(datetime):
    """A clock that stands on a Saturday afternoon, UTC."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime.fromisoformat("2026-01-31T18:05:00+00:00").astimezone(tz)


@pytest.fixture
def module(load: Load) -> ModuleType:
    loaded = load("system_prompt")
    loaded.datetime = FixedClock
    return loaded


def run(
    module: ModuleType, messages: list[Any], own: str = "", **valves: Any
) -> list[dict[str, Any]]:
    function = module.Filter()
    function.valves = module.Filter.Valves(**valves)
    user = {**USER, "valves": module.Filter.UserValves(text=own)}
    return list(function.inlet({"model": "m", "messages": messages}, user)["messages"])


def prompt(module: ModuleType, text: str, **valves: Any) -> str:
    return str(run(module, [ASK], prompt=text, **valves)[0]["content"])


def test_a_request_without_a_system_message_gets_one_at_its_head(module: ModuleType) -> None:
    assert run(module, [ASK], prompt="P") == [{"role": "system", "content": "P"}, ASK]


def test_the_default_prompt_has_name_and_date(module: ModuleType) -> None:
    first = run(module, [ASK])[0]["content"]
    assert first == "The user's name is Ann. Today is 2026-01-31."


def test_prepend_append_and_replace(module: ModuleType) -> None:
    assert run(module, [OLD, ASK], prompt="P")[0]["content"] == "P\n\nold"
    assert run(module, [OLD, ASK], prompt="P", mode="append")[0]["content"] == "old\n\nP"
    assert run(module, [OLD, ASK], prompt="P", mode="replace")[0]["content"] == "P"


def test_replace_takes_all_system_messages_out(module: ModuleType) -> None:
    messages = [OLD, ASK, {"role": "developer", "content": "more"}, ASK]
    replaced = run(module, messages, prompt="P", mode="replace")
    assert replaced == [{"role": "system", "content": "P"}, ASK, ASK]


def test_a_developer_message_counts_as_system_message(module: ModuleType) -> None:
    changed = run(module, [{"role": "developer", "content": "old"}, ASK], prompt="P")
    assert changed == [{"role": "developer", "content": "P\n\nold"}, ASK]


def test_in_a_message_of_parts_the_text_is_a_part(module: ModuleType) -> None:
    old = {"role": "system", "content": [{"type": "text", "text": "old"}]}
    part = {"type": "text", "text": "P"}
    assert run(module, [old, ASK], prompt="P")[0]["content"] == [part, *old["content"]]
    appended = run(module, [old, ASK], prompt="P", mode="append")
    assert appended[0]["content"] == [*old["content"], part]


def test_the_users_own_text_follows_after_an_empty_line(module: ModuleType) -> None:
    messages = run(module, [ASK], own="I am a nurse.", prompt="Answer {{USER_NAME}} briefly.")
    assert messages[0]["content"] == "Answer Ann briefly.\n\nI am a nurse."


def test_the_users_own_text_is_limited(module: ModuleType) -> None:
    assert run(module, [ASK], own="abcdef", prompt="P", user_text_limit=3)[0]["content"] == (
        "P\n\nabc"
    )
    assert run(module, [ASK], own="abc", prompt="P", user_text_limit=0)[0]["content"] == "P"


def test_nothing_to_say_changes_nothing(module: ModuleType) -> None:
    assert run(module, [ASK], prompt=" ") == [ASK]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("USER_NAME", "Ann"),
        ("USER_EMAIL", "ann@example.com"),
        ("USER_ID", "u1"),
        ("USER_ROLE", "user"),
        ("MODEL", "m"),
        ("CURRENT_DATE", "2026-01-31"),
        ("CURRENT_TIME", "18:05"),
        ("CURRENT_DATETIME", "2026-01-31 18:05"),
        ("CURRENT_WEEKDAY", "Saturday"),
        ("CURRENT_TIMEZONE", "UTC"),
    ],
)
def test_each_variable(module: ModuleType, name: str, value: str) -> None:
    assert prompt(module, f"<{{{{{name}}}}}>") == f"<{value}>"
    assert prompt(module, f"<{{{{ {name} }}}}>") == f"<{value}>"


def test_an_unknown_variable_stays(module: ModuleType) -> None:
    assert prompt(module, "{{NO_SUCH}} {{USER_NAME}}") == "{{NO_SUCH}} Ann"


def test_what_is_put_in_is_not_looked_through_again(module: ModuleType) -> None:
    function = module.Filter()
    function.valves = module.Filter.Valves(prompt="{{USER_NAME}}")
    body = function.inlet({"messages": [ASK]}, {**USER, "name": "{{USER_EMAIL}}"})
    assert body["messages"][0]["content"] == "{{USER_EMAIL}}"


def test_time_zones_shift_the_clock_and_mistakes_are_refused(module: ModuleType) -> None:
    if not zoneinfo.available_timezones():
        pytest.skip("this machine has no time zone database")
    assert prompt(module, "{{CURRENT_TIME}}", timezone="Asia/Tokyo") == "03:05"
    for name in ("Mars/Base", "", "../etc/passwd"):
        with pytest.raises(ValueError, match="unknown time zone"):
            module.Filter.Valves(timezone=name)


def test_a_caller_nobody_knows_has_empty_values(module: ModuleType) -> None:
    function = module.Filter()
    function.valves = module.Filter.Valves(prompt="<{{USER_NAME}}>")
    assert function.inlet({"messages": []})["messages"][0]["content"] == "<>"

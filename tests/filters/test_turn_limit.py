"""Claims of `turn_limit.py`."""

from types import ModuleType
from typing import Any

import pytest
from conftest import Load


@pytest.fixture
def module(load: Load) -> ModuleType:
    return load("turn_limit")


def conversation(turns: int) -> dict[str, Any]:
    exchange = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    return {"messages": [{"role": "system", "content": "s"}, *(exchange * turns)]}


def limited(module: ModuleType, **valves: Any) -> Any:
    function = module.Filter()
    function.valves = module.Filter.Valves(**valves)
    return function


def user(module: ModuleType, role: str = "user", bonus: int = 0) -> dict[str, Any]:
    return {"id": "1", "role": role, "valves": module.Filter.UserValves(bonus_turns=bonus)}


def test_the_limit_itself_is_allowed_and_the_body_stays(module: ModuleType) -> None:
    body = conversation(4)
    assert limited(module, max_turns=4).inlet(body, user(module)) == conversation(4)


def test_one_more_is_refused_with_403_and_a_sentence(module: ModuleType) -> None:
    with pytest.raises(module.HTTPException) as refusal:
        limited(module, max_turns=4).inlet(conversation(6), user(module, bonus=1))
    assert refusal.value.status_code == 403
    assert refusal.value.detail == (
        "This conversation has reached its limit of 5 turns. Start a new one to go on."
    )


def test_one_turn_is_said_in_the_singular(module: ModuleType) -> None:
    with pytest.raises(module.HTTPException, match="limit of 1 turn[.]"):
        limited(module, max_turns=1).inlet(conversation(2))


def test_bonus_turns_count_up_to_max_bonus(module: ModuleType) -> None:
    function = limited(module, max_turns=1, max_bonus=2)
    function.inlet(conversation(3), user(module, bonus=9))
    with pytest.raises(module.HTTPException):
        function.inlet(conversation(4), user(module, bonus=9))


def test_admins_are_exempt_only_by_valve(module: ModuleType) -> None:
    admin = user(module, role="admin")
    limited(module, max_turns=1).inlet(conversation(9), admin)
    with pytest.raises(module.HTTPException):
        limited(module, max_turns=1, exempt_admins=False).inlet(conversation(9), admin)


def test_zero_switches_the_limit_off(module: ModuleType) -> None:
    limited(module, max_turns=0).inlet(conversation(99), user(module))


def test_a_caller_without_user_valves_has_the_plain_limit(module: ModuleType) -> None:
    with pytest.raises(module.HTTPException):
        limited(module, max_turns=1).inlet(conversation(2), {"role": "user"})


def test_negative_values_are_refused(module: ModuleType) -> None:
    with pytest.raises(ValueError, match="max_turns"):
        module.Filter.Valves(max_turns=-1)
    with pytest.raises(ValueError, match="bonus_turns"):
        module.Filter.UserValves(bonus_turns=-1)


def test_defaults_are_those_of_the_head(module: ModuleType) -> None:
    valves = module.Filter().valves
    assert valves.model_dump() == {
        "priority": 0,
        "max_turns": 10,
        "max_bonus": 10,
        "exempt_admins": True,
    }

"""The examples of `docs/FUNCTIONS.md` do what the text beside them says."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "FUNCTIONS.md"


def example(title: str) -> Any:
    """An instance of the example with this title."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    block = next(block for block in blocks if f"title: {title}\n" in block)
    names: dict[str, Any] = {"__name__": "function_example"}
    exec(block, names)
    return next(names[kind] for kind in ("Pipe", "Filter", "Action", "Tools") if kind in names)()


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def test_polite() -> None:
    function = example("Polite")
    assert function.inlet(asking("Please go")) == asking("Please go")
    with pytest.raises(Exception, match="^Say please.$"):
        function.inlet(asking("Go"))


def test_short_answers() -> None:
    function = example("Short answers")
    user = {"valves": function.UserValves(bonus=50)}
    assert function.inlet(asking("q"), user)["max_tokens"] == 250


def test_echo() -> None:
    function = example("Echo")
    assert function.pipe(asking("a b")) == "a b"
    assert list(function.pipe(asking("a b", stream=True))) == ["a ", "b "]


def test_translator() -> None:
    function = example("Translator")
    assert [entry["id"] for entry in function.pipes()] == ["en", "es"]
    assert function.pipe(asking("hola", model="translator.en")) == "[en] hola"


def test_shout() -> None:
    action = example("Shout").action
    chat = {"messages": [{"role": "assistant", "content": "hey"}]}
    assert asyncio.run(action(chat, "louder", {}, None)) == {"content": "HEY!!!"}


def test_dice() -> None:
    rolled = asyncio.run(example("Dice").roll(sides=1, times=2))
    assert rolled == {"rolled": [1, 1]}


def test_every_named_file_is_there() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    named = re.findall(r"`(filters/\w+\.py)`", text)
    assert named
    assert all((GUIDE.parents[1] / name).is_file() for name in named)

"""Loads the functions of `filters/` from their text, as a host does."""

import __future__

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

FILTERS = Path(__file__).resolve().parents[2] / "filters"
Load = Callable[[str], ModuleType]


def source(name: str) -> str:
    """The text of a function."""
    return (FILTERS / f"{name}.py").read_text(encoding="utf-8")


def load_function(name: str) -> ModuleType:
    """Runs a function's text in a module of its own."""
    module = ModuleType(f"function_{name}")
    # Before it runs: pydantic looks annotations up through this table.
    sys.modules[module.__name__] = module
    flags = __future__.annotations.compiler_flag
    exec(compile(source(name), "<string>", "exec", flags, dont_inherit=True), module.__dict__)
    return module


@pytest.fixture
def load() -> Load:
    """The loader, fresh for each call."""
    return load_function

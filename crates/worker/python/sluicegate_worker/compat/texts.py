"""Texts: which contents are one, and how near two are to each other."""

from __future__ import annotations

import math
import re
from collections import Counter


def text_of(contents: bytes) -> str | None:
    """Contents as text, if they are one."""
    try:
        text = contents.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text else text


def words_of(text: str) -> Counter[str]:
    """A text's words with their numbers, in lower case."""
    return Counter(re.findall(r"\w+", text.lower()))


def nearness(first: Counter[str], second: Counter[str]) -> float:
    """How many of their words two texts share, between 0 and 1."""
    shared = sum(first[word] * second[word] for word in first.keys() & second.keys())
    size = math.sqrt(sum(n * n for n in first.values()) * sum(n * n for n in second.values()))
    return shared / size if size else 0.0

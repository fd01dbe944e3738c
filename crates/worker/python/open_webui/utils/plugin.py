"""Modules of other functions. Those in the same process are found: the members of a `group`."""

from __future__ import annotations

import re
from typing import Any

from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.siblings import sibling


def extract_frontmatter(content: str) -> dict[str, str]:
    """The `key: value` lines of a block that begins in the first line with three double quotes."""
    first, _, rest = content.strip().partition("\n")
    if first.strip() != '"""':
        return {}
    lines = rest.partition('"""')[0].split("\n")
    found = (re.match(r"^\s*([a-z_]+):\s*(.*)\s*$", line, re.I) for line in lines)
    return {match[1].strip().lower(): match[2].strip() for match in found if match}


def load_function_module_by_id(function_id: str, content: str | None = None) -> tuple[Any, str, dict[str, str]]:
    """A function's instance, kind and frontmatter."""
    found = sibling(function_id)
    return found.instance, found.kind, {}


def get_function_module_from_cache(
    request: Any, function_id: str, *_: Any, **__: Any
) -> tuple[Any, str, dict[str, str]]:
    """A function's instance, kind and frontmatter."""
    return load_function_module_by_id(function_id)


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

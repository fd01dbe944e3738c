"""The functions of this process, for those that look for each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate_worker.loader import Function

PREFIX = "function_"

#: The module attribute that holds what was loaded.
LOADED = "__sluicegate_function__"


def sibling(id: str) -> Function:
    """A function of this process."""
    module = sys.modules.get(f"{PREFIX}{id}")
    found: Function | None = getattr(module, LOADED, None)
    if found is None:
        raise ImportError(f"function `{id}` is not in this process: give both the same `group`")
    return found


class Instances(Mapping[str, Any]):
    """Instances of the functions of this process, by their ids."""

    def __getitem__(self, id: str) -> Any:
        """A function's instance."""
        try:
            return sibling(id).instance
        except ImportError:
            raise KeyError(id) from None

    def __iter__(self) -> Iterator[str]:
        """The ids."""
        names = [name for name, module in list(sys.modules.items()) if LOADED in getattr(module, "__dict__", {})]
        return (name.removeprefix(PREFIX) for name in names)

    def __len__(self) -> int:
        """How many there are."""
        return sum(1 for _ in self)

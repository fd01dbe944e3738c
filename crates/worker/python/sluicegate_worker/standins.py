"""Objects handed to functions in place of the real product's: the user and a model's entry."""

from __future__ import annotations

from typing import Any


class User(dict[str, Any]):
    """`__user__`: a dictionary that also answers to attributes."""

    def __getattr__(self, name: str) -> Any:
        """A member by its name."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"'dict' object has no attribute '{name}'") from None

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles as a plain dictionary."""
        return dict, (dict(self),)


class ModelEntry(dict[str, Any]):
    """`__metadata__["model"]`: a model's entry that behaves like the model's id where text is asked of it."""

    def __str__(self) -> str:
        """The id."""
        return str(self.get("id", ""))

    def __format__(self, spec: str) -> str:
        """The id, formatted."""
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        """Compares with text as the id, with entries as a dictionary."""
        return str(self) == other if isinstance(other, str) else super().__eq__(other)

    def __hash__(self) -> int:  # type: ignore[override]
        """The id's, so that it is found in sets of ids."""
        return hash(str(self))

    def __getattr__(self, name: str) -> Any:
        """The id's methods, such as `split` and `startswith`."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(str(self), name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles as a plain dictionary."""
        return dict, (dict(self),)


# Functions look at `type(__user__).__name__`, as old versions of the product handed out tuples.
User.__name__ = User.__qualname__ = "dict"
ModelEntry.__name__ = ModelEntry.__qualname__ = "dict"


def model_entry(model: Any) -> Any:
    """The entry with its text manners, where it is one."""
    return ModelEntry(model) if isinstance(model, dict) and "id" in model else model

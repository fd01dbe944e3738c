"""Records of users, chats, files and their like: pydantic models where pydantic is there, and lenient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from pydantic import BaseModel, ConfigDict
except ImportError:
    BaseModel = object  # type: ignore[assignment, misc]

if TYPE_CHECKING or BaseModel is not object:

    class Fields(BaseModel):
        """Any members, of any type; those a class declares are always there."""

        model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, protected_namespaces=())

else:

    class Fields:
        """The same without pydantic: members by keyword, declared defaults for those not given."""

        def __init__(self, **members: Any) -> None:
            self.__dict__.update({**defaults_of(type(self)), **members})

        @classmethod
        def model_validate(cls, members: Any) -> Any:
            """A record of a dictionary's members."""
            return members if isinstance(members, cls) else cls(**members)

        def model_dump(self, **_: Any) -> dict[str, Any]:
            """The record as a dictionary."""
            return {name: plain(value) for name, value in vars(self).items()}

        def model_copy(self, *, update: dict[str, Any] | None = None, **_: Any) -> Any:
            """A copy, with some members changed."""
            return type(self)(**{**vars(self), **(update or {})})

        dict = model_dump


class Record(Fields):
    """A record that can also be read like a dictionary. Members nobody knows are `None`."""

    def __getitem__(self, name: str) -> Any:
        """A member by its name."""
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        """Whether there is such a member."""
        return isinstance(name, str) and name in self.model_dump()

    def get(self, name: str, default: Any = None) -> Any:
        """A member by its name, or the default."""
        return getattr(self, name, default)


def made(model: type[Record], answer: Any) -> Any:
    """The gateway's answer as a record; `None` stays what it is."""
    return model(**answer) if isinstance(answer, dict) else None


def plain(value: Any) -> Any:
    """A value without records, as it can be stored."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if isinstance(value, dict):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(member) for member in value]
    return value


def defaults_of(model: type) -> dict[str, Any]:
    """The defaults that a class and those above it declare."""
    declared = {name: value for base in reversed(model.__mro__) for name, value in vars(base).items()}
    annotated = {name for base in model.__mro__ for name in vars(base).get("__annotations__", {})}
    defaults = {name: declared.get(name) for name in annotated}
    return {name: value.copy() if isinstance(value, (dict, list)) else value for name, value in defaults.items()}

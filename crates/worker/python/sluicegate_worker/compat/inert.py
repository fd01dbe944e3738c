"""Stand-ins for names of the real product that mean nothing here: they can be used, and nothing happens.

The first use of each is logged with the file and line of the function, so that its author knows what is missing.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from types import FrameType, FunctionType
from typing import Any

from sluicegate_worker.compat.callsites import CALL_SITES

LOG = logging.getLogger("open_webui")

#: Names whose use has been logged.
_used: set[str] = set()


class Inert:
    """Can be called, awaited, iterated, entered, inherited and asked for anything; is empty and false."""

    __slots__ = ("_path", "_root")

    def __init__(self, path: str, root: str | None = None) -> None:
        self._path = path
        self._root = root or path

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing; or, since it may be a decorator, the one function it is given."""
        note_use(self._root)
        if len(args) == 1 and not kwargs and isinstance(args[0], FunctionType):
            return args[0]
        return Inert(f"{self._path}()", self._root)

    def __getattr__(self, name: str) -> Any:
        """The same again, one level deeper."""
        if name in self.__slots__ or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        note_use(self._root)
        return Inert(f"{self._path}.{name}", self._root)

    def __await__(self) -> Generator[Any, None, Any]:
        """Itself, at once."""
        note_use(self._root)
        return self
        yield

    def __bool__(self) -> bool:
        """False: what it stands for is switched off or not there."""
        return False

    def __len__(self) -> int:
        """Nothing is in it."""
        return 0

    def __iter__(self) -> Iterator[Any]:
        """Nothing."""
        note_use(self._root)
        return iter(())

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Nothing."""
        note_use(self._root)
        return
        yield

    def __contains__(self, _: object) -> bool:
        """Nothing is in it."""
        return False

    def __getitem__(self, name: Any) -> Any:
        """The same again, one level deeper."""
        note_use(self._root)
        return Inert(f"{self._path}[{name!r}]", self._root)

    def __setitem__(self, _: Any, __: Any) -> None:
        """Forgets it."""
        note_use(self._root)

    def __setattr__(self, name: str, value: Any) -> None:
        """Forgets it."""
        if name in self.__slots__:
            object.__setattr__(self, name, value)
        else:
            note_use(self._root)

    def __enter__(self) -> Inert:
        """Itself."""
        note_use(self._root)
        return self

    def __exit__(self, *_: object) -> None:
        """Lets exceptions pass."""

    async def __aenter__(self) -> Inert:
        """Itself."""
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        """Lets exceptions pass."""

    def __str__(self) -> str:
        """No text."""
        note_use(self._root)
        return ""

    def __fspath__(self) -> str:
        """The current folder."""
        note_use(self._root)
        return "."

    def __repr__(self) -> str:
        """What it stands for."""
        return f"<nothing: {self._path}>"

    def __int__(self) -> int:
        """Nought."""
        note_use(self._root)
        return 0

    __index__ = __int__

    def __float__(self) -> float:
        """Nought."""
        note_use(self._root)
        return 0.0

    def _other(self, other: Any) -> Any:
        return other

    __add__ = __radd__ = __or__ = __ror__ = _other

    def __truediv__(self, name: Any) -> Inert:
        """A path below it."""
        return Inert(f"{self._path}/{name}", self._root)

    def _compare(self, _: object) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _compare

    def __instancecheck__(self, _: object) -> bool:
        """Nothing is an instance of it."""
        return False

    def __subclasscheck__(self, _: object) -> bool:
        """Nothing inherits from it."""
        return False

    def __mro_entries__(self, _: tuple[Any, ...]) -> tuple[type, ...]:
        """What inherits from it inherits from nothing."""
        return ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles as what it is."""
        return Inert, (self._path, self._root)

    def __get_pydantic_core_schema__(self, *_: Any) -> Any:
        """As the type of a field it takes anything."""
        from pydantic_core import core_schema

        return core_schema.any_schema()

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """No members."""
        return {}


def note_use(path: str) -> None:
    """Logs the first use of a name that means nothing here."""
    if path in _used:
        return
    _used.add(path)
    LOG.warning("`%s` does nothing in this gateway; first used in %s", path, user_of())


def user_of() -> str:
    """File and line of the function's code that is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if CALL_SITES in frame.f_globals:
            return f"{os.path.basename(frame.f_code.co_filename)}, line {frame.f_lineno}"
        frame = frame.f_back
    return "code outside any function"

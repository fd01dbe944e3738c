"""Finds the modules of `open_webui` that are not here: old spellings of others, and stand-ins that do nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from sluicegate_worker.compat.inert import Inert

PACKAGE = "open_webui"

#: Parts of the real product below which any module can be imported, whether it is here or not.
PARTS = {
    "apps",
    "config",
    "constants",
    "env",
    "events",
    "functions",
    "internal",
    "main",
    "migrations",
    "models",
    "retrieval",
    "routers",
    "socket",
    "storage",
    "tasks",
    "tools",
    "utils",
}

#: Modules that are here in full: a name they lack does not exist.
WHOLE = {"constants", "functions", "utils.misc"}

#: Where modules have moved since version 0.4; the longest prefix counts.
MOVED = {
    "apps.audio.main": "routers.audio",
    "apps.images.main": "routers.images",
    "apps.ollama.main": "routers.ollama",
    "apps.openai.main": "routers.openai",
    "apps.retrieval": "retrieval",
    "apps.retrieval.main": "routers.retrieval",
    "apps.socket": "socket",
    "apps.webui": "",
}


class Aliases(MetaPathFinder):
    """Finds modules under their old names. Comes first, or the files would be loaded a second time."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A module that has moved."""
        name = below_package(fullname)
        real = moved(name)
        if real == name:
            return None
        return ModuleSpec(fullname, AliasLoader(f"{PACKAGE}.{real}" if real else PACKAGE), is_package=True)


class StandIns(MetaPathFinder):
    """Finds the modules that are not here. Comes last, so it sees only those."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A module of a known part of the package; nothing for a name the real product never had."""
        name = below_package(fullname)
        if name.partition(".")[0] not in PARTS or any(name.startswith(f"{whole}.") for whole in WHOLE):
            return None
        return ModuleSpec(fullname, StandInLoader(), is_package=True)


class AliasLoader(Loader):
    """Gives a module under a second name."""

    def __init__(self, real: str) -> None:
        self._real = real
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The very module."""
        module = importlib.import_module(self._real)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Undoes what the import system wrote into the module, which has run under its own name."""
        module.__spec__ = self._spec
        if self._spec is not None and self._spec.submodule_search_locations is None:
            del module.__path__


class StandInLoader(Loader):
    """Makes modules whose names do nothing."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module that has any name."""
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


class StandIn(ModuleType):
    """A module of the real product that is not here."""

    def __getattr__(self, name: str) -> Any:
        """A name that does nothing."""
        return missing(self.__name__, name)


def below_package(fullname: str) -> str:
    """A module's name without the package's; empty for those of other packages."""
    package, _, name = fullname.partition(".")
    return name if package == PACKAGE else ""


def moved(name: str) -> str:
    """Today's name of a module below the package."""
    for old in sorted(MOVED, key=len, reverse=True):
        if name == old or name.startswith(f"{old}."):
            return f"{MOVED[old]}{name.removeprefix(old)}".removeprefix(".")
    return name


def missing(module: str, name: str) -> Any:
    """For the `__getattr__` of a module: a stand-in for a name it lacks, unless it is there in full."""
    if name.startswith("__") or module.removeprefix(f"{PACKAGE}.") in WHOLE:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return Inert(f"{module}.{name}")


def install() -> None:
    """Lets functions import what is not here."""
    if not any(isinstance(finder, Aliases) for finder in sys.meta_path):
        sys.meta_path.insert(0, Aliases())
        sys.meta_path.append(StandIns())

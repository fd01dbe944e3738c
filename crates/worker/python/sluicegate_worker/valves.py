"""Valves: stored values as instances of a function's own classes, one copy for each call.

A function reads `self.valves`. For that the loader puts the property `VALVES` on the instance's own class: it
answers with the copy of the call that asks, hydrated from the version the call's request began with. Two
requests that overlap see two versions, each the same one after every `await`.
"""

from __future__ import annotations

import copy
import inspect
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from sluicegate_worker.failures import Unknown
from sluicegate_worker.scope import CURRENT, Scope

Values = dict[str, Any]

#: Runs sync code of a function where it may take its time.
Run = Callable[[Callable[[], Any]], Awaitable[Any]]

#: The stores of the instances the property answers for, by the instance's `id`. Other instances of a class,
#: made by the function's own code, keep plain attributes.
_stores: dict[int, ValvesStore] = {}


class ValvesStore:
    """The versions of one function's valves, and the class they are made with."""

    def __init__(self, instance: Any, model: type, drop_none: bool, own: Values | None = None) -> None:
        self.model = model
        # What stays below the stored values.
        self._own = own or {}
        self._instance = instance
        self._drop_none = drop_none
        self._versions: dict[int, Values] = {}
        self._sound: set[int] = set()
        # For code outside any call: what the constructor left there, until a version is stored.
        self._newest: Any = getattr(instance, "__dict__", {}).get("valves")
        self._newest_is_stale = self._newest is None
        self._has_property = False

    def attach(self) -> bool:
        """Puts the property on the instance's class; false if `valves` has to be assigned for each call."""
        kind = type(self._instance)
        existing = inspect.getattr_static(kind, "valves", None)
        if existing is not VALVES:
            # A property of the function's own does something when it is set, so it has to be set.
            if isinstance(existing, property):
                return False
            try:
                type.__setattr__(kind, "valves", VALVES)
            except TypeError:
                return False
        _stores[id(self._instance)] = self
        self._has_property = True
        return True

    def detach(self) -> None:
        """Forgets the instance, whose `id` may be used again."""
        _stores.pop(id(self._instance), None)

    def add(self, version: int, values: Values) -> None:
        """Stores a version; the highest is the newest."""
        self._versions[version] = values
        if version == max(self._versions):
            self._newest_is_stale = True

    def forget(self, versions: list[int]) -> None:
        """Drops versions no request uses, except the newest, which code outside any call reads."""
        newest = max(self._versions, default=None)
        for version in versions:
            if version != newest:
                self._versions.pop(version, None)
                self._sound.discard(version)

    def enter(self, scope: Scope) -> None:
        """Prepares the valves of a call.

        Values that do not fit fail here, also in functions that never look at them, as in the real product.
        """
        if scope.version not in self._sound:
            scope.valves = self.build(scope.version)
            self._sound.add(scope.version)
        if not self._has_property:
            self._instance.valves = self.of(scope)

    def of(self, scope: Scope) -> Any:
        """The call's own copy."""
        if scope.valves is None:
            scope.valves = self.build(scope.version)
        return scope.valves

    def build(self, version: int) -> Any:
        """A fresh instance from a stored version."""
        if version not in self._versions:
            raise Unknown(f"valves version {version} is not there")
        return self._hydrated(self._versions[version])

    def fits(self, values: Values) -> bool:
        """Whether an instance can be made of these values."""
        try:
            self._hydrated(values)
        except Exception:
            return False
        return True

    def _hydrated(self, values: Values) -> Any:
        return hydrate(self.model, {**self._own, **values}, self._drop_none)

    def newest(self) -> Any:
        """What code outside any call sees."""
        if self._newest_is_stale:
            values = self._versions[max(self._versions)] if self._versions else {}
            self._newest = self._hydrated(values)
            self._newest_is_stale = False
        return self._newest

    def replace_newest(self, valves: Any) -> None:
        """An assignment outside any call; lasts until the next version."""
        self._newest = valves
        self._newest_is_stale = False


def _get(instance: Any) -> Any:
    store = _stores.get(id(instance))
    if store is None:
        return _own_attribute(instance)
    scope = CURRENT.get()
    if scope is None or scope.store is not store:
        return store.newest()
    return store.of(scope)


def _own_attribute(instance: Any) -> Any:
    try:
        return instance.__dict__["valves"]
    except KeyError:
        name = type(instance).__name__
        raise AttributeError(f"'{name}' object has no attribute 'valves'") from None


def _set(instance: Any, valves: Any) -> None:
    store = _stores.get(id(instance))
    if store is None:
        instance.__dict__["valves"] = valves
        return
    scope = CURRENT.get()
    if scope is None or scope.store is not store:
        store.replace_newest(valves)
    else:
        scope.valves = valves


VALVES = property(_get, _set)


def hydrate(model: type, values: Values, drop_none: bool) -> Any:
    """An instance of a valves class. Containers are copied: what a call changes in them stays in the call."""
    given = {}
    for name, value in values.items():
        if value is None and drop_none:
            continue
        given[name] = copy.deepcopy(value) if isinstance(value, (dict, list)) else value
    return model(**given)


def check(model: type, values: Values, own: Values) -> Values:
    """The values to store: those given explicitly and known to the class; raises if they do not fit over `own`."""
    given = {name: value for name, value in values.items() if value is not None}
    valves = model(**{**own, **given})
    dump = getattr(valves, "model_dump", None)
    if dump is None:
        return given
    stored: Values = revealed(dump(exclude_unset=True))
    return {name: value for name, value in stored.items() if name in given or name not in own}


def revealed(value: Any) -> Any:
    """A value with the text of pydantic's secrets, which are stored as what they hold."""
    if isinstance(value, dict):
        return {name: revealed(member) for name, member in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [revealed(item) for item in value]
    reveal = getattr(value, "get_secret_value", None)
    return reveal() if callable(reveal) else value


def priority(model: type | None, values: Values, fallback: Any) -> float:
    """The function's place in the order: the valve, else the fallback; 0 where neither is a number."""
    try:
        value = fallback if model is None else getattr(model(**values), "priority", fallback)
    except Exception:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return value


def schema(model: type | None) -> Values | None:
    """The JSON schema of a valves class, without making an instance; `None` for classes that have none."""
    make = getattr(model, "model_json_schema", None)
    if make is None:
        return None
    made: Values = make()
    for name, field in getattr(model, "model_fields", {}).items():
        described = made.get("properties", {}).get(name)
        if isinstance(described, dict) and is_encrypted(field.annotation):
            described.setdefault("input", {"type": "password"})
    return made


def is_encrypted(annotation: Any) -> bool:
    """Whether a field's class is the text class that many functions encrypt their keys with."""
    kinds = (annotation, *getattr(annotation, "__args__", ()))
    return any(getattr(kind, "__name__", "") == "EncryptedStr" for kind in kinds)


async def spec(model: type | None, user: Values | None, run: Run) -> Values | None:
    """The schema with its options filled in: a name in `input.options` is a class method that lists them."""
    made = schema(model)
    for field in (made or {}).get("properties", {}).values():
        described = field.get("input")
        if isinstance(described, dict) and isinstance(described.get("options"), str):
            described["options"] = await options(getattr(model, described["options"], None), user, run)
    return made


async def options(method: Any, user: Values | None, run: Run) -> Any:
    """What a class method lists, given the user if it asks for one; nothing where it is none or raises."""
    if not callable(method):
        return []
    names = inspect.signature(method).parameters
    given = {name: user for name in ("__user__", "user") if name in names}
    try:
        # Many ask the network for their options, without awaiting.
        listed = await run(lambda: method(**given))
        return await listed if inspect.isawaitable(listed) else listed
    except Exception:
        # The rest of the form is of use without them.
        traceback.print_exc()
        return []


class DictManners:
    """What makes `valves["quota"]`, `valves.get("quota")` and `dict(valves)` work on user valves."""

    def __getitem__(self, name: str) -> Any:
        """A field by its name."""
        if name not in field_names(self):
            raise KeyError(name)
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a field."""
        return name in field_names(self)

    def get(self, name: str, default: Any = None) -> Any:
        """A field by its name, or the default."""
        return getattr(self, name, default) if name in field_names(self) else default

    def keys(self) -> list[str]:
        """The names of the fields."""
        return field_names(self)


def field_names(valves: Any) -> list[str]:
    """The fields of a valves instance, declared ones for a model, attributes else."""
    declared = getattr(type(valves), "model_fields", None)
    return list(vars(valves) if declared is None else declared)


def with_dict_manners(model: type) -> type:
    """A subclass of a user valves class that also behaves like a dictionary and passes for its parent.

    A field that is called like one of the dictionary's methods keeps its name.
    """
    taken = getattr(model, "model_fields", {})
    manners = {
        name: member
        for name, member in vars(DictManners).items()
        if name in ("__getitem__", "__contains__", "get", "keys") and name not in taken
    }
    names = {"__module__": model.__module__, "__qualname__": model.__qualname__, "__doc__": model.__doc__}
    return type(model)(model.__name__, (model,), {**names, **manners})


def user_valves(model: type, values: Values | None) -> Any:
    """A user's valves; values that no longer fit give way to the defaults, as in the real product.

    Where a field has none, what was given stands unchecked: a handler that does not look at the field runs on.
    """
    try:
        return model(**(values or {}))
    except Exception as error:
        refused = error
    construct = getattr(model, "model_construct", None)
    try:
        return model()
    except Exception:
        if construct is None:
            raise refused from None
        return construct(**(values or {}))

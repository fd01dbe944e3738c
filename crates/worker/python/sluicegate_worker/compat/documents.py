"""Tables of documents that the gateway stores: each of a kind, with an id, an owner and any data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import uuid4

from sluicegate_worker.compat.facade import Question, Steps, asks
from sluicegate_worker.compat.inert import Inert
from sluicegate_worker.compat.records import Record, made, plain

#: Members that the gateway keeps itself, beside a document's data.
OWN_MEMBERS = ("id", "user_id", "created_at", "updated_at")


class Table:
    """A table of the real product. Methods it lacks here do nothing, and say so when they are used."""

    def __getattr__(self, name: str) -> Any:
        """A method that does nothing."""
        if name.startswith("_"):
            raise AttributeError(name)
        return Inert(f"{type(self).__module__}.{type(self).__name__}.{name}")


class DocumentTable(Table):
    """A table whose records are documents. The methods are steps, for those that functions call."""

    kind: ClassVar[str]
    model: ClassVar[type[Record]]

    def _get(self, id: Any, user_id: str | None = None) -> Steps:
        """The record, if it is there and belongs to the user."""
        if not id:
            return None
        record = self._made((yield Question("documents.get", {"kind": self.kind, "id": str(id)})))
        return record if record is None or user_id in (None, record.user_id) else None

    def _list(self, user_id: str | None = None) -> Steps:
        """All records, or those of a user, the last changed first."""
        arguments = {"kind": self.kind} if user_id is None else {"kind": self.kind, "user_id": user_id}
        documents = (yield Question("documents.list", arguments)) or []
        records = [self._made(document) for document in documents]
        return sorted(records, key=lambda record: record.updated_at or 0, reverse=True)

    def _put(self, user_id: str, data: Any, id: str | None = None) -> Steps:
        """Stores a record, under a new id if none is given."""
        values = {name: value for name, value in plain(data).items() if name not in OWN_MEMBERS}
        arguments = {"kind": self.kind, "id": id or str(uuid4()), "user_id": user_id, "data": values}
        return self._made((yield Question("documents.put", arguments)))

    def _change(self, record: Any, **changes: Any) -> Steps:
        """Stores a record with some members changed; `None` for one that is not there."""
        if record is None:
            return None
        data = {**record.model_dump(), **changes}
        return (yield from self._put(record.user_id, data, record.id))

    def _delete(self, record: Any) -> Steps:
        """Removes a record; whether it was there."""
        if record is None:
            return False
        arguments = {"kind": self.kind, "id": record.id}
        return bool((yield Question("documents.delete", arguments)))

    def _delete_all(self, user_id: str | None = None) -> Steps:
        """Removes all records, or those of a user."""
        for record in (yield from self._list(user_id)):
            yield from self._delete(record)
        return True

    def _made(self, document: Any) -> Any:
        if not isinstance(document, dict):
            return None
        own = {name: document.get(name) for name in OWN_MEMBERS}
        return made(self.model, {**(document.get("data") or {}), **own})


class SimpleTable(DocumentTable):
    """A table whose methods have the usual names, made of the words for one record and for several."""

    def __init_subclass__(cls, one: str, several: str) -> None:
        """Gives the class its methods."""
        methods: dict[str, Callable[..., Steps]] = {
            f"get_{one}_by_id": cls.find,
            f"get_{one}_by_id_and_user_id": cls.find,
            f"get_{several}": cls.find_all,
            f"get_{several}_by_user_id": cls.find_all,
            f"insert_new_{one}": cls.insert,
            f"update_{one}_by_id": cls.update,
            f"delete_{one}_by_id": cls.remove,
        }
        for name, steps in methods.items():
            if name not in vars(cls):
                setattr(cls, name, asks(steps))

    def find(self, id: str, user_id: str | None = None, *_: Any, **__: Any) -> Steps:
        """The record with this id, the user's if one is named."""
        return (yield from self._get(id, user_id))

    def find_all(self, user_id: str | None = None, *_: Any, **__: Any) -> Steps:
        """The records there are, the user's if one is named."""
        return (yield from self._list(user_id if isinstance(user_id, str) else None))

    def insert(self, user_id: str, form_data: Any, *_: Any, **__: Any) -> Steps:
        """Stores a record of a form's members."""
        form = plain(form_data)
        return (yield from self._put(user_id, form, form.get("id")))

    def update(self, id: str, form_data: Any, *_: Any, **__: Any) -> Steps:
        """Changes those members of a record that a form has."""
        changes = {name: value for name, value in plain(form_data).items() if value is not None}
        return (yield from self._change((yield from self._get(id)), **changes))

    def remove(self, id: str, *_: Any, **__: Any) -> Steps:
        """Removes a record."""
        return (yield from self._delete((yield from self._get(id))))


def page(records: list[Any], skip: int | None, limit: int | None) -> list[Any]:
    """A part of a list, as the real product's `skip` and `limit` say."""
    first = skip or 0
    return records[first : first + limit] if limit else records[first:]

"""Notes that the gateway stores."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import SimpleTable
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class NoteModel(Record):
    """A note."""

    id: Any = ""
    user_id: Any = ""
    title: Any = ""
    data: Any = None
    meta: Any = None
    access_control: Any = None
    created_at: Any = 0
    updated_at: Any = 0


class NoteForm(Record):
    """What a new note is made of."""

    title: Any = ""
    data: Any = None
    meta: Any = None
    access_control: Any = None


NoteUpdateForm = NoteForm


class NoteTable(SimpleTable, one="note", several="notes"):
    """Looks notes up and changes them."""

    kind = "note"
    model = NoteModel

    @asks
    def insert_new_note(self, *arguments: Any, **named: Any) -> Steps:
        """Stores a note: `(user_id, form)`, or as some versions have it the form first."""
        given = [*arguments, *named.values()]
        user_id = next(value for value in given if isinstance(value, str))
        form = next(value for value in given if not isinstance(value, str))
        return (yield from self.insert(user_id, form))


Notes = NoteTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

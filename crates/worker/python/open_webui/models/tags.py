"""Tags of chats that the gateway stores."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import SimpleTable
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class TagModel(Record):
    """A tag."""

    id: Any = ""
    user_id: Any = ""
    name: Any = ""
    meta: Any = None
    created_at: Any = 0
    updated_at: Any = 0


class TagTable(SimpleTable, one="tag", several="tags"):
    """Looks tags up and changes them."""

    kind = "tag"
    model = TagModel


Tags = TagTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

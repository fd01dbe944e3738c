"""Folders of chats that the gateway stores."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import SimpleTable
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record, plain


class FolderModel(Record):
    """A folder."""

    id: Any = ""
    user_id: Any = ""
    parent_id: Any = None
    name: Any = ""
    items: Any = None
    meta: Any = None
    data: Any = None
    is_expanded: Any = False
    created_at: Any = 0
    updated_at: Any = 0


class FolderForm(Record):
    """What a new folder is made of."""

    name: Any = None
    parent_id: Any = None
    data: Any = None
    meta: Any = None


FolderUpdateForm = FolderForm


class FolderTable(SimpleTable, one="folder", several="folders"):
    """Looks folders up and changes them."""

    kind = "folder"
    model = FolderModel

    @asks
    def update_folder_by_id_and_user_id(self, id: str, user_id: str, form_data: Any, *_: Any, **__: Any) -> Steps:
        """Changes members of a user's folder."""
        changes = {name: value for name, value in plain(form_data).items() if value is not None}
        return (yield from self._change((yield from self._get(id, user_id)), **changes))


Folders = FolderTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

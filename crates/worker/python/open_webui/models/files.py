"""Files that the gateway stores: their records here, their contents by `open_webui.storage.provider`."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import DocumentTable
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record, plain


class FileModel(Record):
    """A file's record; `path` is where its content was put."""

    id: Any = ""
    user_id: Any = ""
    hash: Any = None
    filename: Any = ""
    path: Any = None
    data: Any = {}
    meta: Any = {}
    access_control: Any = None
    created_at: Any = 0
    updated_at: Any = 0


File = FileModelResponse = FileMetadataResponse = FileMeta = FileModel


class FileForm(Record):
    """What a new file's record is made of."""

    id: Any = None
    hash: Any = None
    filename: Any = ""
    path: Any = ""
    data: Any = {}
    meta: Any = {}
    access_control: Any = None


class FileUpdateForm(Record):
    """Changes to a file's record."""

    hash: Any = None
    data: Any = None
    meta: Any = None


class FilesTable(DocumentTable):
    """Looks files up and changes their records."""

    kind = "file"
    model = FileModel

    @asks
    def insert_new_file(self, user_id: str, form_data: Any, *_: Any, **__: Any) -> Steps:
        """Stores a record."""
        return (yield from self.insert(user_id, form_data))

    @asks
    def get_file_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """The file with this id."""
        return (yield from self._get(id))

    get_file_metadata_by_id = get_file_by_id

    @asks
    def get_file_by_id_and_user_id(self, id: str, user_id: str, *_: Any, **__: Any) -> Steps:
        """The user's file with this id."""
        return (yield from self._get(id, user_id))

    @asks
    def get_files(self, *_: Any, **__: Any) -> Steps:
        """All files."""
        return (yield from self._list())

    @asks
    def get_files_by_user_id(self, user_id: str, *_: Any, **__: Any) -> Steps:
        """A user's files."""
        return (yield from self._list(user_id))

    @asks
    def get_files_by_ids(self, ids: list[str], *_: Any, **__: Any) -> Steps:
        """The files with these ids, as far as they are there."""
        found = []
        for id in ids:
            found.append((yield from self._get(id)))
        return [file for file in found if file is not None]

    get_file_metadatas_by_ids = get_files_by_ids

    @asks
    def update_file_by_id(self, id: str, form_data: Any, *_: Any, **__: Any) -> Steps:
        """Changes the hash, and members of the data and the meta data."""
        form = plain(form_data)
        record = yield from self._get(id)
        if record is None:
            return None
        data, meta = merged(record.data, form.get("data")), merged(record.meta, form.get("meta"))
        return (yield from self._change(record, hash=form.get("hash") or record.hash, data=data, meta=meta))

    @asks
    def update_file_hash_by_id(self, id: str, hash: str | None, *_: Any, **__: Any) -> Steps:
        """Changes the hash."""
        return (yield from self._change((yield from self._get(id)), hash=hash))

    @asks
    def update_file_data_by_id(self, id: str, data: dict[str, Any], *_: Any, **__: Any) -> Steps:
        """Changes members of the data."""
        record = yield from self._get(id)
        return None if record is None else (yield from self._change(record, data=merged(record.data, data)))

    @asks
    def update_file_metadata_by_id(self, id: str, meta: dict[str, Any], *_: Any, **__: Any) -> Steps:
        """Changes members of the meta data."""
        record = yield from self._get(id)
        return None if record is None else (yield from self._change(record, meta=merged(record.meta, meta)))

    @asks
    def delete_file_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """Removes a record; its content stays."""
        return (yield from self._delete((yield from self._get(id))))

    def insert(self, user_id: str, form_data: Any) -> Steps:
        """The steps of storing a record."""
        form = plain(form_data)
        return (yield from self._put(user_id, form, form.get("id")))

    find = DocumentTable._get
    remove = DocumentTable._delete
    change = DocumentTable._change


def merged(members: Any, changes: Any) -> dict[str, Any]:
    """A dictionary with some members changed."""
    return {**(members or {}), **plain(changes or {})}


Files = FilesTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

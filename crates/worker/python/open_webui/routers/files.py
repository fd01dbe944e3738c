"""Uploading files from functions."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

from open_webui.models.files import FileForm, FileModel, Files
from sluicegate_worker.compat import files
from sluicegate_worker.compat.facade import Steps, asks, current_request
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.texts import text_of


@asks
def upload_file_handler(
    request: Any,
    file: Any,
    metadata: Any = None,
    process: bool = True,
    process_in_background: bool = True,
    user: Any = None,
    background_tasks: Any = None,
    **_: Any,
) -> Steps:
    """Stores an uploaded file; gives its record. A text's content is in the record's data."""
    filename = os.path.basename(file.filename or "file")
    contents = file.file.read()
    kind = getattr(file, "content_type", None) or "application/octet-stream"
    meta = {"name": filename, "content_type": kind, "size": len(contents), "data": as_members(metadata)}
    return (yield from stored(contents, filename, meta, owner_id(user), process))


upload_file = upload_file_handler


@asks
def get_file_by_id(id: str, user: Any = None, *_: Any, **__: Any) -> Steps:
    """A file's record."""
    return (yield from Files.find(id))


@asks
def delete_file_by_id(id: str, user: Any = None, *_: Any, **__: Any) -> Steps:
    """Removes a file's content and record."""
    record = yield from Files.find(id)
    if record is None:
        return {"message": "there is no such file"}
    yield from files.forget(record.path)
    yield from Files.remove(record)
    return {"message": "File deleted successfully"}


def stored(contents: bytes, filename: str, meta: dict[str, Any], user_id: str, process: bool = True) -> Steps:
    """The steps of storing a content and its record."""
    id = str(uuid4())
    path = yield from files.store(contents, f"{id}_{filename}")
    text = text_of(contents) if process else None
    data = {"status": "completed"} if text is None else {"status": "completed", "content": text}
    form = FileForm(id=id, filename=filename, path=path, data=data, meta=meta)
    record: FileModel | None = yield from Files.insert(user_id, form)
    return record


def owner_id(user: Any) -> str:
    """The id of a user, given as a record or dictionary; of the caller if none is."""
    if user is None:
        request = current_request()
        user = {} if request is None else request.user
    return str(user.get("id", "") if isinstance(user, dict) else getattr(user, "id", ""))


def as_members(metadata: Any) -> dict[str, Any]:
    """Metadata as a dictionary."""
    return metadata if isinstance(metadata, dict) else {}


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

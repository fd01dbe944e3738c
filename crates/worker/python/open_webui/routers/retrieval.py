"""Files made ready for retrieval, as far as a gateway does that: it keeps their text, and no vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from open_webui.models.files import Files, merged
from sluicegate_worker.compat import files
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record
from sluicegate_worker.compat.texts import text_of


class ProcessFileForm(Record):
    """Which file to make ready, with its text if that is known."""

    file_id: Any = ""
    content: Any = None
    collection_name: Any = None


class ProcessTextForm(Record):
    """A text to make ready."""

    name: Any = ""
    content: Any = ""
    collection_name: Any = None


@asks
def process_file(request: Any, form_data: Any, user: Any = None, *_: Any, **__: Any) -> Steps:
    """Puts a file's text into its record."""
    record = yield from Files.find(form_data.file_id)
    if record is None:
        raise ValueError(f"no file `{form_data.file_id}` is stored")
    content = form_data.content
    if content is None:
        contents = Path((yield from files.fetch(record.path))).read_bytes()
        content = text_of(contents)
    if content is None:
        raise ValueError(f"`{record.filename}` is no text; the gateway does not extract text from other files")
    name = form_data.collection_name or f"file-{record.id}"
    data = merged(record.data, {"content": content, "status": "completed"})
    yield from Files.change(record, data=data, meta=merged(record.meta, {"collection_name": name}))
    return {"status": True, "collection_name": name, "filename": record.filename, "content": content}


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

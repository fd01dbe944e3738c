"""Contents of files, which the gateway stores under their names."""

from __future__ import annotations

from typing import Any, BinaryIO

from sluicegate_worker.compat import files
from sluicegate_worker.compat.documents import Table
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing


class StorageTable(Table):
    """Stores contents, and gives them back as files on this machine."""

    @asks
    def upload_file(self, file: BinaryIO, filename: str, tags: Any = None) -> Steps:
        """Stores what an open file holds; gives that and the path it is found under."""
        contents = file.read()
        if not contents:
            raise ValueError(f"`{filename}` is empty")
        return contents, (yield from files.store(contents, filename))

    @asks
    def get_file(self, file_path: str) -> Steps:
        """The path of a stored file on this machine."""
        return (yield from files.fetch(file_path))

    @asks
    def delete_file(self, file_path: str) -> Steps:
        """Removes a stored file."""
        return (yield from files.forget(file_path))


Storage = StorageTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

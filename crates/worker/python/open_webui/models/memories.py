"""What users want remembered, as the gateway stores it."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import DocumentTable
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class MemoryModel(Record):
    """One thing to remember."""

    id: Any = ""
    user_id: Any = ""
    content: Any = ""
    created_at: Any = 0
    updated_at: Any = 0


Memory = MemoryModel


class MemoriesTable(DocumentTable):
    """Looks memories up and changes them."""

    kind = "memory"
    model = MemoryModel

    @asks
    def insert_new_memory(self, user_id: str, content: str, *_: Any, **__: Any) -> Steps:
        """Stores a memory."""
        return (yield from self.insert(user_id, content))

    @asks
    def get_memories(self, *_: Any, **__: Any) -> Steps:
        """All memories."""
        return (yield from self._list())

    @asks
    def get_memories_by_user_id(self, user_id: str, *_: Any, **__: Any) -> Steps:
        """A user's memories."""
        return (yield from self._list(user_id))

    @asks
    def get_memory_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """The memory with this id."""
        return (yield from self._get(id))

    @asks
    def update_memory_by_id(self, id: str, content: str, *_: Any, **__: Any) -> Steps:
        """Replaces a memory's text."""
        return (yield from self.update(id, None, content))

    @asks
    def update_memory_by_id_and_user_id(self, id: str, user_id: str, content: str, *_: Any, **__: Any) -> Steps:
        """Replaces the text of a user's memory."""
        return (yield from self.update(id, user_id, content))

    @asks
    def delete_memory_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """Removes a memory."""
        return (yield from self.remove(id, None))

    @asks
    def delete_memory_by_id_and_user_id(self, id: str, user_id: str, *_: Any, **__: Any) -> Steps:
        """Removes a user's memory."""
        return (yield from self.remove(id, user_id))

    @asks
    def delete_memories_by_user_id(self, user_id: str, *_: Any, **__: Any) -> Steps:
        """Removes all memories of a user."""
        return (yield from self.remove_all(user_id))

    def insert(self, user_id: str, content: str) -> Steps:
        """The steps of storing a memory."""
        return (yield from self._put(user_id, {"content": content}))

    def update(self, id: str, user_id: str | None, content: str) -> Steps:
        """The steps of replacing a memory's text."""
        return (yield from self._change((yield from self._get(id, user_id)), content=content))

    def remove(self, id: str, user_id: str | None) -> Steps:
        """The steps of removing a memory."""
        return (yield from self._delete((yield from self._get(id, user_id))))

    find_all = DocumentTable._list
    remove_all = DocumentTable._delete_all


Memories = MemoriesTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

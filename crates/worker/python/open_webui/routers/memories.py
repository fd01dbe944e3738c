"""Memories by the names of their routes. They are found by shared words: the gateway keeps no vectors."""

from __future__ import annotations

from typing import Any

from open_webui.models.memories import Memories
from open_webui.routers.files import owner_id
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record
from sluicegate_worker.compat.texts import nearness, words_of


class AddMemoryForm(Record):
    """A new memory."""

    content: Any = ""


class MemoryUpdateModel(Record):
    """A memory's new text."""

    content: Any = None


class QueryMemoryForm(Record):
    """What to look for, and how many at most."""

    content: Any = ""
    k: Any = 1


class SearchResult(Record):
    """What was found, best first: a list for the one question asked. `distances` are 1 for equal texts."""

    ids: Any = []
    documents: Any = []
    metadatas: Any = []
    distances: Any = []


@asks
def add_memory(request: Any = None, form_data: Any = None, user: Any = None, *_: Any, **__: Any) -> Steps:
    """Stores a memory of the user."""
    return (yield from Memories.insert(owner_id(user), form_data.content))


@asks
def get_memories(user: Any = None, *_: Any, **__: Any) -> Steps:
    """The user's memories."""
    return (yield from Memories.find_all(owner_id(user)))


@asks
def query_memory(request: Any = None, form_data: Any = None, user: Any = None, *_: Any, **__: Any) -> Steps:
    """The user's memories that share most words with a text."""
    wanted = words_of(form_data.content)
    memories = yield from Memories.find_all(owner_id(user))
    scored = [(nearness(wanted, words_of(memory.content)), memory) for memory in memories]
    found = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: pair[0], reverse=True)
    best = found[: form_data.k or 1]
    return SearchResult(
        ids=[[memory.id for _, memory in best]],
        documents=[[memory.content for _, memory in best]],
        metadatas=[[{"created_at": memory.created_at, "updated_at": memory.updated_at} for _, memory in best]],
        distances=[[score for score, _ in best]],
    )


@asks
def update_memory_by_id(
    memory_id: str, request: Any = None, form_data: Any = None, user: Any = None, *_: Any, **__: Any
) -> Steps:
    """Replaces the text of a user's memory."""
    return (yield from Memories.update(memory_id, owner_id(user), form_data.content))


@asks
def delete_memory_by_id(memory_id: str, *users: Any, user: Any = None, **_: Any) -> Steps:
    """Removes a user's memory."""
    owner = user or next((given for given in reversed(users) if hasattr(given, "email")), None)
    return (yield from Memories.remove(memory_id, owner_id(owner)))


@asks
def delete_memory_by_user_id(user: Any = None, *_: Any, **__: Any) -> Steps:
    """Removes all memories of the user."""
    return (yield from Memories.remove_all(owner_id(user)))


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

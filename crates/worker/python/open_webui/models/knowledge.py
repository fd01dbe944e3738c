"""Collections of files that the gateway stores; their contents are not searched."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import SimpleTable
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class KnowledgeModel(Record):
    """A collection."""

    id: Any = ""
    user_id: Any = ""
    name: Any = ""
    description: Any = ""
    data: Any = {}
    meta: Any = {}
    access_control: Any = None
    created_at: Any = 0
    updated_at: Any = 0


KnowledgeUserModel = KnowledgeResponse = KnowledgeModel


class KnowledgeForm(Record):
    """What a new collection is made of."""

    name: Any = ""
    description: Any = ""
    data: Any = None
    access_control: Any = None


class KnowledgeTable(SimpleTable, one="knowledge", several="knowledges"):
    """Looks knowledges up and changes them."""

    kind = "knowledge"
    model = KnowledgeModel

    @asks
    def get_knowledge_bases(self, *_: Any, **__: Any) -> Steps:
        """All collections."""
        return (yield from self._list())

    @asks
    def get_knowledge_bases_by_user_id(self, user_id: str, *_: Any, **__: Any) -> Steps:
        """A user's collections."""
        return (yield from self._list(user_id))

    @asks
    def update_knowledge_data_by_id(self, id: str, data: dict[str, Any], *_: Any, **__: Any) -> Steps:
        """Replaces a collection's data."""
        return (yield from self._change((yield from self._get(id)), data=data))


Knowledges = KnowledgeTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

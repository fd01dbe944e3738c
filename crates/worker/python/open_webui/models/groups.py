"""Groups of users that the gateway stores."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import SimpleTable
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class GroupModel(Record):
    """A group."""

    id: Any = ""
    user_id: Any = ""
    name: Any = ""
    description: Any = ""
    data: Any = None
    meta: Any = None
    permissions: Any = None
    user_ids: Any = []
    created_at: Any = 0
    updated_at: Any = 0


class GroupForm(Record):
    """What a new group is made of."""

    name: Any = ""
    description: Any = ""
    permissions: Any = None
    user_ids: Any = []


class GroupTable(SimpleTable, one="group", several="groups"):
    """Looks groups up and changes them."""

    kind = "group"
    model = GroupModel

    @asks
    def get_groups_by_member_id(self, user_id: str, *_: Any, **__: Any) -> Steps:
        """The groups a user is in."""
        return [group for group in (yield from self._list()) if user_id in (group.user_ids or [])]

    @asks
    def get_group_user_ids_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """The ids of a group's users."""
        group = yield from self._get(id)
        return None if group is None else group.user_ids


Groups = GroupTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

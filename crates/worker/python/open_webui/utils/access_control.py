"""Access lists, as functions look into them. What a caller may do the gateway decides."""

from __future__ import annotations

from typing import Any

from open_webui.models.groups import Groups
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing


@asks
def has_access(
    user_id: str,
    type: str = "write",
    access_control: dict[str, Any] | None = None,
    user_group_ids: Any = None,
    strict: bool = True,
    **_: Any,
) -> Steps:
    """Whether an access list lets a user in. Without one everybody may read."""
    if access_control is None:
        return type == "read" or not strict
    permission = access_control.get(type) or {}
    if user_id in (permission.get("user_ids") or []):
        return True
    wanted = set(permission.get("group_ids") or [])
    if user_group_ids is None and wanted:
        groups = yield from Groups.find_all()
        user_group_ids = [group.id for group in groups if user_id in (group.user_ids or [])]
    return bool(wanted & set(user_group_ids or []))


@asks
def has_permission(user_id: str, permission_key: str, default_permissions: Any = None, **_: Any) -> Steps:
    """What the default permissions say under a dotted key."""
    found: Any = default_permissions
    for part in permission_key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return bool(found)
    yield


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

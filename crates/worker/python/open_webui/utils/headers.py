"""Headers for other services."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote


def include_user_info_headers(headers: dict[str, str], user: Any) -> dict[str, str]:
    """The headers with those that name a user."""
    members = {name: str(getattr(user, name.lower(), "") or "") for name in ("Name", "Id", "Email", "Role")}
    return {**headers, **{f"X-OpenWebUI-User-{name}": quote(value, safe=" @") for name, value in members.items()}}

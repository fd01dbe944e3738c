"""Users, as the gateway knows them."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import Table, page
from sluicegate_worker.compat.facade import Question, Steps, asks, current_request
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class UserModel(Record):
    """A user's record. Members the gateway does not know are `None`."""

    id: Any = ""
    email: Any = ""
    name: Any = ""
    role: Any = "user"
    username: Any = None
    bio: Any = None
    profile_image_url: Any = "/user.png"
    info: Any = None
    settings: Any = None
    timezone: Any = None
    api_key: Any = None
    oauth_sub: Any = None
    last_active_at: Any = None
    created_at: Any = None
    updated_at: Any = None


#: Names some functions import the record by.
User = UserResponse = UserNameResponse = UserModel


class UserSettings(Record):
    """A user's settings."""

    ui: Any = {}


class UserList(list[UserModel]):
    """Users, as a list or, as later versions have it, under `users` with their number under `total`."""

    def __getitem__(self, key: Any) -> Any:
        """A user by number, or one of the two members."""
        if isinstance(key, str):
            return {"users": list(self), "total": len(self)}[key]
        return super().__getitem__(key)

    def get(self, name: str, default: Any = None) -> Any:
        """One of the two members, or the default."""
        return self[name] if name in ("users", "total") else default


class UsersTable(Table):
    """Looks users up."""

    @asks
    def get_user_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """The user with this id."""
        return (yield from self._get("id", id))

    @asks
    def get_user_by_email(self, email: str, *_: Any, **__: Any) -> Steps:
        """The user with this e-mail address."""
        return (yield from self._get("email", email))

    @asks
    def get_users(self, filter: Any = None, skip: int | None = None, limit: int | None = None, **_: Any) -> Steps:
        """The users there are."""
        return UserList(page((yield from self._list()), skip, limit))

    @asks
    def get_users_by_user_ids(self, user_ids: list[str], *_: Any, **__: Any) -> Steps:
        """The users with these ids."""
        return [user for user in (yield from self._list()) if user.id in user_ids]

    @asks
    def get_num_users(self, *_: Any, **__: Any) -> Steps:
        """How many users there are."""
        return len((yield from self._list()))

    @asks
    def get_first_user(self, *_: Any, **__: Any) -> Steps:
        """The first user."""
        return next(iter((yield from self._list())), None)

    @asks
    def get_super_admin_user(self, *_: Any, **__: Any) -> Steps:
        """The first administrator."""
        return next((user for user in (yield from self._list()) if user.role == "admin"), None)

    @asks
    def get_valid_user_ids(self, user_ids: list[str], *_: Any, **__: Any) -> Steps:
        """Those of the ids that users have."""
        return [user.id for user in (yield from self._list()) if user.id in user_ids]

    def _get(self, member: str, value: str) -> Steps:
        # Nearly always it is the one whose request this is.
        caller = calling_user()
        if caller is not None and getattr(caller, member) == value:
            return caller
        found = yield Question("users.get", {member: value})
        return record(found) if isinstance(found, dict) else None

    def _list(self) -> Steps:
        return [record(user) for user in (yield Question("users.list", {})) or []]


def calling_user() -> UserModel | None:
    """The user whose request the running code works for."""
    request = current_request()
    if request is None:
        return None
    members = {name: value for name, value in request.user.items() if name != "valves"}
    return record(members) if members.get("id") else None


def record(members: dict[str, Any]) -> UserModel:
    """A user's members as a record, the settings too."""
    if isinstance(members.get("settings"), dict):
        members = {**members, "settings": UserSettings(**members["settings"])}
    return UserModel(**members)


Users = UsersTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

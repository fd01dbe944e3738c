"""Users, as far as a worker knows them: the one whose request it handles."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from typing import Any

from sluicegate_worker.loader import AWAITS_MODELS
from sluicegate_worker.scope import CURRENT


class UserModel:
    """A user's record. Members the gateway does not know are `None`."""

    def __init__(self, **members: Any) -> None:
        self.id: str = str(members.get("id", ""))
        self.email: str = str(members.get("email", ""))
        self.name: str = str(members.get("name", ""))
        self.role: str = str(members.get("role", "user"))
        self.profile_image_url: str = str(members.get("profile_image_url", "/user.png"))
        self.info: Any = members.get("info")
        self.settings: Any = members.get("settings")
        self.timezone: Any = members.get("timezone")

    def __getitem__(self, name: str) -> Any:
        """A member by its name."""
        return vars(self)[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A member by its name, or the default."""
        return vars(self).get(name, default)

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """The record as a dictionary."""
        return dict(vars(self))


#: The name some functions import the record by.
User = UserModel


class UsersTable:
    """Looks users up: answers plainly in modules that call it plainly, by awaiting in those that await it."""

    def get_user_by_id(self, id: str) -> Any:
        """The user, if it is the one whose request this is."""
        user = _current_user()
        return _as_expected(user if user is not None and user.id == id else None)

    def get_user_by_email(self, email: str) -> Any:
        """The user, if it is the one whose request this is."""
        user = _current_user()
        return _as_expected(user if user is not None and user.email == email else None)

    def get_users(self, *_: Any, **__: Any) -> Any:
        """The users there are to see: the one whose request this is."""
        user = _current_user()
        return _as_expected([] if user is None else [user])


Users = UsersTable()


def _current_user() -> UserModel | None:
    scope = CURRENT.get()
    if scope is None or scope.request is None:
        return None
    members = {name: value for name, value in scope.request.user.items() if name != "valves"}
    return UserModel(**members)


def _as_expected(answer: Any) -> Any:
    # Two frames up is the function's code, whose module the loader has marked.
    module = sys._getframe(2).f_globals
    return _awaitable(answer) if module.get(AWAITS_MODELS) else answer


def _awaitable(answer: Any) -> Awaitable[Any]:
    async def answered() -> Any:
        return answer

    return answered()

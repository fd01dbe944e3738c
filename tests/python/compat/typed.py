"""
title: Typed
"""

from typing import TYPE_CHECKING

from open_webui.models.users import UserModel

if TYPE_CHECKING:
    from utils.manifold_types import *


class Filter:
    def inlet(self, body: "Body", __user__: UserData, __metadata__: dict[str, Anything]) -> "Body":
        body["typed"] = isinstance(UserModel(**__user__), UserModel)
        return body

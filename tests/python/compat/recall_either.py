"""
title: Recall
"""

import inspect

from open_webui.models.memories import Memories
from open_webui.models.users import Users
from open_webui.utils.misc import add_or_update_system_message


async def _maybe_await(value):
    if inspect.isawaitable(value):
        return await value
    return value


class Filter:
    async def inlet(self, body, __user__):
        user = await _maybe_await(Users.get_user_by_id(__user__["id"]))
        memories = await _maybe_await(Memories.get_memories_by_user_id(user.id)) or []
        text = "\n".join(memory.content for memory in memories)
        add_or_update_system_message(f"Known of {user.name}: {text}", body["messages"])
        return body

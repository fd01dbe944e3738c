"""
title: Recall
required_open_webui_version: 0.5.0
"""

from typing import Optional

from open_webui.models.memories import Memories
from open_webui.models.users import Users
from open_webui.utils.misc import add_or_update_system_message


class Filter:
    async def inlet(self, body: dict, __user__: Optional[dict] = None) -> dict:
        user = Users.get_user_by_id(__user__["id"])
        memories = Memories.get_memories_by_user_id(user_id=str(user.id))
        text = "\n".join(memory.content for memory in memories)
        body["messages"] = add_or_update_system_message(f"Known of {user.name}: {text}", body["messages"])
        return body

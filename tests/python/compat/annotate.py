"""
title: Annotate
"""

from open_webui.models.chats import Chats
from open_webui.models.users import UserModel


class Filter:
    async def outlet(self, body, __user__, __metadata__):
        user = UserModel(**__user__)
        Chats.upsert_message_to_chat_by_id_and_message_id(
            __metadata__["chat_id"], __metadata__["message_id"], {"note": f"seen by {user.name}"}
        )
        return body

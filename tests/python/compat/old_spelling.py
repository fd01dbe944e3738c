"""
title: Old spelling
required_open_webui_version: 0.3.17
"""

from apps.webui.models.chats import Chats
from utils.misc import add_or_update_system_message, pop_system_message


class Filter:
    def inlet(self, body, __user__, __metadata__):
        chat = Chats.get_chat_by_id_and_user_id(__metadata__["chat_id"], __user__["id"])
        _, messages = pop_system_message(body["messages"])
        body["messages"] = add_or_update_system_message(f"This chat is called {chat.title}.", messages)
        return body

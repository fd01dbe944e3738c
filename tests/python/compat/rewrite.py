"""
title: Rewrite
"""

from open_webui.models.users import Users
from open_webui.utils.chat import generate_chat_completion
from open_webui.utils.misc import get_last_user_message, get_last_user_message_item


class Filter:
    async def inlet(self, body, __user__, __request__):
        user = Users.get_user_by_id(__user__["id"])
        form = {
            "model": body["model"],
            "messages": [{"role": "user", "content": get_last_user_message(body["messages"])}],
        }
        answer = await generate_chat_completion(
            __request__, {**form, "stream": False}, user=user, bypass_filter=True, bypass_system_prompt=True
        )
        get_last_user_message_item(body["messages"])["content"] = answer["choices"][0]["message"]["content"]
        return body

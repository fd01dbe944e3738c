"""
title: Ask
required_open_webui_version: 0.4.3
"""

from main import generate_chat_completions
from open_webui.models.users import User, Users


class Pipe:
    async def pipe(self, body, __user__, __request__):
        user = User(**__user__)
        assert Users.get_user_by_id(user.id)
        response = await generate_chat_completions(__request__, form_data={**body, "model": "echo"}, user=user)
        return response["choices"][0]["message"]["content"]

"""
title: Remember
"""

from fastapi.requests import Request
from open_webui.main import app as webui_app
from open_webui.models.users import Users
from open_webui.routers.memories import AddMemoryForm, add_memory


class Filter:
    async def outlet(self, body, __user__):
        user = Users.get_user_by_id(__user__["id"])
        request = Request(scope={"type": "http", "app": webui_app})
        text = body["messages"][-2]["content"]
        await add_memory(request=request, form_data=AddMemoryForm(content=text), user=user)
        return body

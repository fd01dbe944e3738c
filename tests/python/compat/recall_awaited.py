"""
title: Recall
required_open_webui_version: 0.9.0
"""

from open_webui.models.users import Users
from open_webui.routers.memories import QueryMemoryForm, query_memory
from open_webui.utils.misc import add_or_update_system_message, get_last_user_message


class Filter:
    async def inlet(self, body, __request__, __user__):
        user = await Users.get_user_by_id(__user__["id"])
        form = QueryMemoryForm(content=get_last_user_message(body["messages"]), k=3)
        found = await query_memory(request=__request__, form_data=form, user=user)
        text = "\n".join(found.documents[0])
        body["messages"] = add_or_update_system_message(f"Known of {user.name}: {text}", body["messages"])
        return body

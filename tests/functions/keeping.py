"""
title: Keeping
description: Keeps and finds things by way of open_webui, in plain calls and in awaited ones.
"""

import asyncio
import io
import json

from open_webui.models.chats import ChatForm, Chats
from open_webui.models.files import Files
from open_webui.models.functions import Functions
from open_webui.models.users import Users
from open_webui.routers.memories import AddMemoryForm, QueryMemoryForm, add_memory, query_memory
from open_webui.storage.provider import Storage
from open_webui.utils.misc import get_last_user_message


class Pipe:
    async def pipe(self, body, __user__, __request__):
        word = get_last_user_message(body["messages"])
        return json.dumps(await getattr(self, word)(__user__["id"], __request__))

    async def keep(self, me, request):
        user = Users.get_user_by_id(me)
        await add_memory(request, AddMemoryForm(content="likes green tea"), user)
        chat = Chats.insert_new_chat(me, ChatForm(chat={"title": "Kept", "history": {"messages": {}}}))
        Chats.upsert_message_to_chat_by_id_and_message_id(chat.id, "m", {"content": "hi"})
        _, path = await asyncio.to_thread(Storage.upload_file, io.BytesIO(b"\x00\xff"), "kept.bin", {})
        await Files.insert_new_file(me, {"id": "kept", "filename": "kept.bin", "path": path})
        return {"title": chat.title}

    async def find(self, me, request):
        user = await Users.get_user_by_id(me)
        found = await query_memory(request, QueryMemoryForm(content="tea", k=3), user)
        chats = Chats.get_chats_by_user_id(me)
        path = Storage.get_file(Files.get_file_by_id("kept").path)
        with open(path, "rb") as file:
            size = len(file.read())
        messages = await Chats.get_messages_by_chat_id(chats[0].id)
        return {"memories": found.documents, "chat": chats[0].title, "message": messages["m"], "size": size}

    async def look(self, me, request):
        models = request.app.state.MODELS
        function = Functions.get_function_by_id("keeping")
        users = await Users.get_users()
        return {
            "models": sorted(models),
            "type": function.type,
            "me": Users.get_user_by_id(me).name,
            "users": len(users) > 1,
            "nobody": Users.get_user_by_id("nobody"),
        }

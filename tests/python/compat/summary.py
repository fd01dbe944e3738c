"""
title: Summary
"""

from open_webui.models.notes import NoteForm, Notes
from open_webui.models.users import Users
from open_webui.utils.chat import generate_chat_completion


class Action:
    async def action(self, body, __user__=None, __request__=None, __event_emitter__=None):
        user = Users.get_user_by_id(__user__["id"])
        payload = {"model": body["model"], "messages": body["messages"], "stream": False}
        answer = await generate_chat_completion(request=__request__, form_data=payload, user=user)
        text = answer["choices"][0]["message"]["content"]
        Notes.insert_new_note(user.id, NoteForm(title=f"Summary for {user.name}", data={"content": {"md": text}}))
        return {"content": text}

"""
title: Templates
"""

from open_webui.utils.misc import get_messages_content, openai_chat_completion_message_template


class Pipe:
    async def pipe(self, body):
        return openai_chat_completion_message_template(body["model"], get_messages_content(body["messages"]))

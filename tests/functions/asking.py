"""Asks the gateway for another completion in its inlet, and puts the answer before the question."""

from open_webui.models.users import Users
from open_webui.utils.chat import generate_chat_completion


class Filter:
    class Valves:
        pass

    async def inlet(self, body, __request__, __user__):
        message = body["messages"][-1]
        form = {"model": body["model"], "messages": [{"role": "user", "content": "summary"}], "stream": False}
        bypass = "bypass" in message["content"]
        if "stream" in message["content"]:
            form["stream"] = True
            response = await generate_chat_completion(__request__, form, __user__, bypass_filter=bypass)
            lines = [line async for line in response.body_iterator]
            message["content"] = f"{len(lines)} lines"
            return body
        if "unknown" in message["content"]:
            form["model"] = "nobody"
        answer = await generate_chat_completion(__request__, form, user=__user__, bypass_filter=bypass)
        message["content"] = f"<{answer['choices'][0]['message']['content']}> {message['content']}"
        return body

"""A pipe that asks the gateway for itself, which would never end."""

from open_webui.utils.chat import generate_chat_completion


class Pipe:
    async def pipe(self, body, __request__):
        answer = await generate_chat_completion(__request__, body)
        if "error" in answer:
            raise RuntimeError(answer["error"]["detail"])
        return answer["choices"][0]["message"]["content"]

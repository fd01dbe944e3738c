"""A pipe for each shape that an answer can have."""

from pydantic import BaseModel


class Message(BaseModel):
    role: str = "assistant"
    content: str = "from a model"


class Choice(BaseModel):
    index: int = 0
    message: Message = Message()
    finish_reason: str = "stop"


class Completion(BaseModel):
    id: str = "own"
    object: str = "chat.completion"
    choices: list[Choice] = [Choice()]


class Pipe:
    def pipes(self):
        return [{"id": shape, "name": shape.title()} for shape in ("text", "dict", "model", "generator", "async")]

    async def pipe(self, body):
        return getattr(self, "as_" + body["model"].rsplit(".", 1)[-1])()

    def as_text(self):
        return "from text"

    def as_dict(self):
        message = {"role": "assistant", "content": "from a dict"}
        return {"id": "own", "object": "chat.completion", "choices": [{"index": 0, "message": message}]}

    def as_model(self):
        return Completion()

    def as_generator(self):
        yield "from "
        yield "a generator"

    async def as_async(self):
        yield "from "
        yield "an async generator"

"""
title: Many
"""

from typing import Generator, Iterator, List, Union

ENDED = ""


class Pipeline:
    """A manifold in the style of the Pipelines server's examples."""

    def __init__(self):
        self.type = "manifold"
        self.name = "Many: "
        self.pipelines = [{"id": "one", "name": "One"}, {"id": "gen", "name": "Generator"}]

    async def on_startup(self):
        self.pipelines.append({"id": "late", "name": "Late"})

    async def on_shutdown(self):
        print("this reaches nobody any more")
        if ENDED:
            with open(ENDED, "w") as file:
                file.write("yes")

    async def inlet(self, body: dict, user: dict) -> dict:
        if "own" in body["messages"][-1]["content"]:
            body["messages"][-1]["content"] += " inlet"
        return body

    async def outlet(self, body: dict, user: dict) -> dict:
        if "own" in body["messages"][-1]["content"]:
            body["messages"][-1]["content"] += " outlet"
        return body

    def pipe(
        self, user_message: str, model_id: str, messages: List[dict], body: dict
    ) -> Union[str, Generator, Iterator]:
        if model_id == "gen":
            return (word for word in [user_message, " ", body["user"]["email"]])
        return f"{model_id} of {len(messages)}: {user_message}"

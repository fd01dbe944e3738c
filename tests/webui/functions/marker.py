"""
title: Marker
description: Puts a mark behind each question and shouts each streamed answer.
"""

from pydantic import BaseModel, Field

# What the test's configuration sets, and saving the valves in the browser must not change.
KEY = "of-the-operator"


class Filter:
    class Valves(BaseModel):
        priority: int = Field(default=0, description="Place in the chain, lowest first.")
        mark: str = Field(default="first", description="What is put behind each question.")
        shout: bool = Field(default=True, description="Whether streamed answers come in capitals.")
        api_key: str = Field(default="", json_schema_extra={"input": {"type": "password"}})

    def __init__(self):
        self.valves = self.Valves()

    def inlet(self, body):
        message = body["messages"][-1]
        if message["role"] == "user":
            if "forbidden" in message["content"]:
                raise Exception("The marker refuses this question.")
            key = "kept" if self.valves.api_key == KEY else "lost"
            message["content"] += f" marked-{self.valves.mark} key-{key}"
        return body

    def stream(self, event):
        for choice in event.get("choices", []):
            content = choice.get("delta", {}).get("content")
            if content and self.valves.shout:
                choice["delta"]["content"] = content.upper()
        return event

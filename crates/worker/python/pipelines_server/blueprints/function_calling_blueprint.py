"""The Pipelines server's base class of filters that let a model choose a tool before it answers.

A file subclasses `Pipeline`, gives it `tools`, and gets an `inlet` that asks a model of the operator's which tool
the user's message needs, calls that tool, and puts what it gives into the system message.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

import requests
from pydantic import BaseModel
from utils.pipelines.main import add_or_update_system_message, get_last_user_message, get_tools_specs

#: How many messages before the last the choosing model sees.
_HISTORY = 4

#: How long the choosing model may take, in seconds.
_LIMIT = 60

DEFAULT_TEMPLATE = """Use the following context as your learned knowledge, inside <context></context> XML tags.
<context>
    {{CONTEXT}}
</context>

When you do not know the answer, say so. When it is unclear, ask. Do not mention the context."""

DEFAULT_PROMPT = """Tools: {}
If a function tool doesn't match the query, return an empty string. Else, pick a function tool, fill in the
parameters from the query and return only the JSON object {{"name": "functionName", "parameters": {{"key": "value"}}}}."""


class Pipeline:
    """A filter with tools."""

    class Valves(BaseModel):
        """What the operator sets."""

        pipelines: list[str] = []
        priority: int = 0
        OPENAI_API_BASE_URL: str = "https://api.openai.com/v1"
        OPENAI_API_KEY: str = ""
        TASK_MODEL: str = "gpt-3.5-turbo"
        TEMPLATE: str = DEFAULT_TEMPLATE

    def __init__(self, prompt: str | None = None) -> None:
        self.type = "filter"
        self.name = "Function Calling Blueprint"
        self.prompt = prompt or DEFAULT_PROMPT
        self.tools: Any = None
        self.valves = self.Valves()

    async def on_startup(self) -> None:
        """Nothing to do yet."""

    async def on_shutdown(self) -> None:
        """Nothing to do."""

    async def inlet(self, body: dict[str, Any], user: dict[str, Any] | None = None) -> dict[str, Any]:
        """Adds what a tool says to the system message."""
        if body.get("title"):
            return body
        messages = body["messages"]
        specs = get_tools_specs(self.tools)
        prompt = self.prompt.format(json.dumps(specs, indent=2))
        content = "History:\n" + self._history(messages) + f"Query: {get_last_user_message(messages)}"
        answer = await asyncio.to_thread(self.run_completion, prompt, content)
        body["messages"] = await self.call_function(answer, messages)
        return body

    def run_completion(self, system_prompt: str, content: str) -> dict[str, Any]:
        """What the choosing model answers: `{"name", "parameters"}`, or nothing."""
        response = requests.post(
            f"{self.valves.OPENAI_API_BASE_URL}/chat/completions",
            json={
                "model": self.valves.TASK_MODEL,
                "messages": [{"role": "system", "content": system_prompt}, {"role": "user", "content": content}],
            },
            headers={"Authorization": f"Bearer {self.valves.OPENAI_API_KEY}"},
            timeout=_LIMIT,
        )
        response.raise_for_status()
        text = response.json()["choices"][0]["message"]["content"] or ""
        chosen = json.loads(text) if text.strip() else {}
        return chosen if isinstance(chosen, dict) else {}

    async def call_function(self, result: dict[str, Any], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages with what the chosen tool gave."""
        function = getattr(self.tools, str(result.get("name", "")), None)
        if "name" not in result or str(result["name"]).startswith("_") or not callable(function):
            return messages
        given = function(**result.get("parameters", {}))
        if inspect.isawaitable(given):
            given = await given
        if not given:
            return messages
        return add_or_update_system_message(self.valves.TEMPLATE.replace("{{CONTEXT}}", str(given)), messages)

    def _history(self, messages: list[dict[str, Any]]) -> str:
        earlier = messages[::-1][:_HISTORY]
        return "".join(f'{message["role"].upper()}: """{message["content"]}"""\n' for message in earlier)

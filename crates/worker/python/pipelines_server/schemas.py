"""The Pipelines server's module `schemas`: the forms of a chat, for files that were written for it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class OpenAIChatMessage(BaseModel):
    """One message of a chat; `content` is text or a list of parts."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: Any


class OpenAIChatCompletionForm(BaseModel):
    """A chat request, with whatever else the client sent."""

    model_config = ConfigDict(extra="allow")

    stream: bool = True
    model: str
    messages: list[OpenAIChatMessage]


class FilterForm(BaseModel):
    """What a filter is called with."""

    model_config = ConfigDict(extra="allow")

    body: dict[str, Any]
    user: dict[str, Any] | None = None

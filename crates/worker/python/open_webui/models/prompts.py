"""Prompts that the gateway stores."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import SimpleTable
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record, plain


class PromptModel(Record):
    """A prompt; its id is its command."""

    id: Any = ""
    user_id: Any = ""
    command: Any = ""
    title: Any = ""
    content: Any = ""
    timestamp: Any = 0
    access_control: Any = None
    created_at: Any = 0
    updated_at: Any = 0


class PromptForm(Record):
    """What a new prompt is made of."""

    command: Any = ""
    title: Any = ""
    content: Any = ""
    access_control: Any = None


class PromptsTable(SimpleTable, one="prompt", several="prompts"):
    """Looks prompts up and changes them."""

    kind = "prompt"
    model = PromptModel

    @asks
    def insert_new_prompt(self, user_id: str, form_data: Any, *_: Any, **__: Any) -> Steps:
        """Stores a prompt under its command."""
        form = plain(form_data)
        return (yield from self._put(user_id, form, form.get("command")))

    @asks
    def get_prompt_by_command(self, command: str, *_: Any, **__: Any) -> Steps:
        """The prompt with this command."""
        return (yield from self._get(command))

    @asks
    def delete_prompt_by_command(self, command: str, *_: Any, **__: Any) -> Steps:
        """Removes the prompt with this command."""
        return (yield from self._delete((yield from self._get(command))))


Prompts = PromptsTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

"""Messages of channels that the gateway stores."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import SimpleTable, page
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record, plain


class MessageModel(Record):
    """A message."""

    id: Any = ""
    user_id: Any = ""
    channel_id: Any = None
    parent_id: Any = None
    content: Any = ""
    data: Any = None
    meta: Any = None
    created_at: Any = 0
    updated_at: Any = 0


class MessageForm(Record):
    """What a new message is made of."""

    content: Any = ""
    parent_id: Any = None
    data: Any = None
    meta: Any = None


class MessageTable(SimpleTable, one="message", several="messages"):
    """Looks messages up and changes them."""

    kind = "message"
    model = MessageModel

    @asks
    def insert_new_message(self, form_data: Any, channel_id: str, user_id: str, *_: Any, **__: Any) -> Steps:
        """Stores a message of a channel."""
        return (yield from self._put(user_id, {**plain(form_data), "channel_id": channel_id}))

    @asks
    def get_messages_by_channel_id(
        self, channel_id: str, skip: int = 0, limit: int | None = 50, *_: Any, **__: Any
    ) -> Steps:
        """A part of a channel's messages, the newest first."""
        records = yield from self._list()
        return page([record for record in records if record.channel_id == channel_id], skip, limit)


Messages = MessageTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

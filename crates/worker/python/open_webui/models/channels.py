"""Channels that the gateway stores."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import SimpleTable
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class ChannelModel(Record):
    """A channel."""

    id: Any = ""
    user_id: Any = ""
    type: Any = None
    name: Any = ""
    description: Any = None
    data: Any = None
    meta: Any = None
    access_control: Any = None
    created_at: Any = 0
    updated_at: Any = 0


class ChannelForm(Record):
    """What a new channel is made of."""

    name: Any = ""
    description: Any = None
    data: Any = None
    meta: Any = None
    access_control: Any = None


class ChannelTable(SimpleTable, one="channel", several="channels"):
    """Looks channels up and changes them."""

    kind = "channel"
    model = ChannelModel


Channels = ChannelTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

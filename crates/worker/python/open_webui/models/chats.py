"""Chats that the gateway stores. Those of an Open WebUI in front of it are not among them."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import DocumentTable, page
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record, plain

NEW_TITLE = "New Chat"


class ChatModel(Record):
    """A chat: its own object under `chat`, with the messages under `history`."""

    id: Any = ""
    user_id: Any = ""
    title: Any = NEW_TITLE
    chat: Any = {}
    created_at: Any = 0
    updated_at: Any = 0
    share_id: Any = None
    archived: Any = False
    pinned: Any = False
    meta: Any = {}
    folder_id: Any = None


Chat = ChatResponse = ChatTitleIdResponse = ChatModel


class ChatForm(Record):
    """What a new chat is made of."""

    chat: Any = {}
    folder_id: Any = None


ChatImportForm = ChatForm


class ChatTitleForm(Record):
    """A chat's new title."""

    title: Any = ""


class ChatTable(DocumentTable):
    """Looks chats up and changes them."""

    kind = "chat"
    model = ChatModel

    @asks
    def get_chat_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """The chat with this id."""
        return (yield from self._get(id))

    @asks
    def get_chat_by_id_and_user_id(self, id: str, user_id: str, *_: Any, **__: Any) -> Steps:
        """The user's chat with this id."""
        return (yield from self._get(id, user_id))

    @asks
    def get_chat_title_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """A chat's title."""
        chat = yield from self._get(id)
        return None if chat is None else chat.title

    @asks
    def get_chats(self, skip: int = 0, limit: int | None = None, *_: Any, **__: Any) -> Steps:
        """All chats."""
        return page((yield from self._list()), skip, limit)

    @asks
    def get_chats_by_user_id(self, user_id: str, *_: Any, **__: Any) -> Steps:
        """A user's chats."""
        return (yield from self._list(user_id))

    @asks
    def get_chat_list_by_user_id(
        self,
        user_id: str,
        include_archived: bool = False,
        filter: Any = None,
        skip: int = 0,
        limit: int | None = 50,
        *_: Any,
        **__: Any,
    ) -> Steps:
        """A part of a user's chats."""
        return page((yield from self._of_user(user_id, include_archived)), skip, limit)

    @asks
    def get_chat_title_id_list_by_user_id(
        self,
        user_id: str,
        include_archived: bool = False,
        include_folders: bool = False,
        include_pinned: bool = False,
        skip: int | None = None,
        limit: int | None = None,
        **_: Any,
    ) -> Steps:
        """A part of a user's chats."""
        return page((yield from self._of_user(user_id, include_archived)), skip, limit)

    @asks
    def get_chats_by_folder_id_and_user_id(self, folder_id: str, user_id: str, *_: Any, **__: Any) -> Steps:
        """The user's chats in a folder."""
        return [chat for chat in (yield from self._list(user_id)) if chat.folder_id == folder_id]

    @asks
    def insert_new_chat(self, *arguments: Any, **named: Any) -> Steps:
        """Stores a chat: `(user_id, form)`, or with its id before."""
        given = dict(zip(("form_data", "user_id", "id"), reversed(arguments), strict=False), **named)
        form = plain(given.get("form_data") or {})
        chat = form.get("chat") or {}
        members = {"title": chat.get("title") or NEW_TITLE, "chat": chat, "folder_id": form.get("folder_id")}
        return (yield from self._put(given["user_id"], members, given.get("id")))

    @asks
    def update_chat_by_id(self, id: str, chat: dict[str, Any], *_: Any, **__: Any) -> Steps:
        """Replaces a chat's own object."""
        return (yield from self._replace((yield from self._get(id)), plain(chat)))

    @asks
    def update_chat_title_by_id(self, id: str, title: str, *_: Any, **__: Any) -> Steps:
        """Gives a chat another title."""
        record = yield from self._get(id)
        return None if record is None else (yield from self._replace(record, {**record.chat, "title": title}))

    @asks
    def update_chat_folder_id_by_id_and_user_id(
        self, id: str, user_id: str, folder_id: str | None, *_: Any, **__: Any
    ) -> Steps:
        """Moves a chat into a folder."""
        return (yield from self._change((yield from self._get(id, user_id)), folder_id=folder_id))

    @asks
    def get_messages_by_chat_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """A chat's messages by their ids."""
        chat = yield from self._get(id)
        return None if chat is None else messages_of(chat.chat)

    get_messages_map_by_chat_id = get_messages_by_chat_id

    @asks
    def get_message_by_id_and_message_id(self, id: str, message_id: str, *_: Any, **__: Any) -> Steps:
        """One message of a chat."""
        chat = yield from self._get(id)
        return None if chat is None else messages_of(chat.chat).get(message_id, {})

    @asks
    def upsert_message_to_chat_by_id_and_message_id(
        self, id: str, message_id: str, message: dict[str, Any], *_: Any, **__: Any
    ) -> Steps:
        """Changes members of a message or adds it, and makes it the chat's current one."""
        record = yield from self._get(id)
        if record is None:
            return None
        messages = messages_of(record.chat)
        changed = {**messages, message_id: {**messages.get(message_id, {}), **plain(message)}}
        history = {**(record.chat.get("history") or {}), "messages": changed, "currentId": message_id}
        return (yield from self._replace(record, {**record.chat, "history": history}))

    @asks
    def add_message_status_to_chat_by_id_and_message_id(
        self, id: str, message_id: str, status: dict[str, Any], *_: Any, **__: Any
    ) -> Steps:
        """Adds to the steps a message shows."""
        record = yield from self._get(id)
        messages = {} if record is None else messages_of(record.chat)
        if message_id not in messages:
            return record
        message = messages[message_id]
        changed = {**message, "statusHistory": [*message.get("statusHistory", []), plain(status)]}
        history = {**record.chat["history"], "messages": {**messages, message_id: changed}}
        return (yield from self._replace(record, {**record.chat, "history": history}))

    @asks
    def add_message_files_by_id_and_message_id(
        self, id: str, message_id: str, files: list[dict[str, Any]], *_: Any, **__: Any
    ) -> Steps:
        """Adds files to a message; gives all it has then."""
        record = yield from self._get(id)
        if record is None:
            return None
        messages = messages_of(record.chat)
        message = messages.get(message_id, {})
        held = [*(message.get("files") or []), *plain(files)]
        changed = {**messages, message_id: {**message, "files": held}}
        history = {**(record.chat.get("history") or {}), "messages": changed}
        yield from self._replace(record, {**record.chat, "history": history})
        return held

    @asks
    def get_chat_folder_id(self, id: str, user_id: str, *_: Any, **__: Any) -> Steps:
        """The folder a user's chat is in."""
        chat = yield from self._get(id, user_id)
        return None if chat is None else chat.folder_id

    @asks
    def delete_chat_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """Removes a chat."""
        return (yield from self._delete((yield from self._get(id))))

    @asks
    def delete_chat_by_id_and_user_id(self, id: str, user_id: str, *_: Any, **__: Any) -> Steps:
        """Removes a user's chat."""
        return (yield from self._delete((yield from self._get(id, user_id))))

    def _of_user(self, user_id: str, include_archived: bool) -> Steps:
        chats = yield from self._list(user_id)
        return [chat for chat in chats if include_archived or not chat.archived]

    def _replace(self, record: Any, chat: dict[str, Any]) -> Steps:
        title = chat.get("title") or NEW_TITLE
        return (yield from self._change(record, chat=chat, title=title))


def messages_of(chat: dict[str, Any]) -> dict[str, Any]:
    """A chat's messages by their ids."""
    messages: dict[str, Any] = (chat.get("history") or {}).get("messages") or {}
    return messages


Chats = ChatTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

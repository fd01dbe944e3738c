"""Users, models, functions and documents, as functions look them up."""

from __future__ import annotations

import pytest
from answering import Gateway, inlet
from driver import Worker

MODEL_ROW = {
    "id": "preset",
    "user_id": "u2",
    "base_model_id": "echo",
    "name": "Preset",
    "params": {"temperature": 0.5, "system": "Be brief."},
    "meta": {"description": "d", "toolIds": ["t"]},
    "access_grants": [],
    "is_active": True,
    "created_at": 1,
    "updated_at": 2,
}
FUNCTION = {
    "id": "f",
    "user_id": "u2",
    "name": "F",
    "type": "filter",
    "content": "class Filter: pass",
    "meta": {"description": "d", "manifest": {"title": "F"}},
    "is_active": True,
    "is_global": True,
    "created_at": 1,
    "updated_at": 2,
}
PLAIN_AND_AWAITED = [("def", ""), ("async def", "await ")]


@pytest.mark.parametrize(("prefix", "call"), PLAIN_AND_AWAITED)
def test_users(worker: Worker, prefix: str, call: str) -> None:
    source = f"""
from open_webui.models.users import Users, UserModel, User
class Filter:
    {prefix} inlet(self, body, __user__):
        bob = {call}Users.get_user_by_email("b@example.test")
        everyone = {call}Users.get_users()
        nobody = {call}Users.get_user_by_id("u9")
        return {{
            "bob": bob.role,
            "all": [user.name for user in everyone],
            "total": everyone["total"],
            "nobody": nobody,
            "made": User(**__user__).email,
            "type": isinstance(bob, UserModel),
            "number": {call}Users.get_num_users(),
        }}
"""
    assert inlet(worker, source, Gateway()) == {
        "bob": "admin",
        "all": ["Ann", "Bob"],
        "total": 2,
        "nobody": None,
        "made": "a@example.test",
        "type": True,
        "number": 2,
    }


@pytest.mark.parametrize(("prefix", "call"), PLAIN_AND_AWAITED)
def test_models(worker: Worker, prefix: str, call: str) -> None:
    source = f"""
from open_webui.models.models import Models, ModelForm, ModelMeta, ModelParams
class Filter:
    {prefix} inlet(self, body):
        model = {call}Models.get_model_by_id("preset")
        presets = {call}Models.get_models()
        return {{
            "base": model.base_model_id,
            "system": model.params.model_dump()["system"],
            "temperature": model.params.temperature,
            "tools": model.meta.toolIds,
            "presets": [preset.id for preset in presets],
            "bases": {call}Models.get_base_models(),
            "form": ModelForm(id="x", params=ModelParams(seed=1), meta=ModelMeta()).model_dump()["params"],
        }}
"""
    entries = [{"id": "echo", "name": "echo"}, {"id": "preset", "info": MODEL_ROW}]
    gateway = Gateway(**{"models.get": MODEL_ROW, "models.list": entries})
    assert inlet(worker, source, gateway) == {
        "base": "echo",
        "system": "Be brief.",
        "temperature": 0.5,
        "tools": ["t"],
        "presets": ["preset"],
        "bases": [],
        "form": {"seed": 1},
    }


def test_functions(worker: Worker) -> None:
    source = """
from open_webui.models.functions import Functions
class Filter:
    def inlet(self, body):
        function = Functions.get_function_by_id("f")
        Functions.update_function_valves_by_id("f", {"a": 2})
        return {
            "content": function.content,
            "manifest": function.meta.manifest,
            "type": [found.id for found in Functions.get_functions_by_type("filter", active_only=True)],
            "globals": len(Functions.get_global_filter_functions()),
            "valves": Functions.get_function_valves_by_id("f"),
            "user": Functions.get_user_valves_by_id_and_user_id("f", "u1"),
        }
"""
    answers = {
        "functions.get": FUNCTION,
        "functions.list": [FUNCTION, {**FUNCTION, "id": "g", "is_active": False}],
        "functions.valves": {"a": 1},
        "functions.user_valves": None,
        "functions.set_valves": {"a": 2},
    }
    gateway = Gateway(**answers)
    assert inlet(worker, source, gateway) == {
        "content": "class Filter: pass",
        "manifest": {"title": "F"},
        "type": ["f"],
        "globals": 1,
        "valves": {"a": 1},
        "user": {},
    }
    assert ("functions.set_valves", {"id": "f", "values": {"a": 2}}) in gateway.asked


def test_tools_are_listed(worker: Worker) -> None:
    source = """
from open_webui.models.tools import Tools
class Filter:
    async def inlet(self, body):
        tools = await Tools.get_tools()
        return {"ids": [tool.id for tool in tools], "specs": tools[0].specs}
"""
    gateway = Gateway(**{"tools.list": [{"id": "t", "specs": [{"name": "n"}]}]})
    assert inlet(worker, source, gateway) == {"ids": ["t"], "specs": [{"name": "n"}]}


@pytest.mark.parametrize(("prefix", "call"), PLAIN_AND_AWAITED)
def test_chats(worker: Worker, prefix: str, call: str) -> None:
    source = f"""
from open_webui.models.chats import Chats, ChatForm
class Filter:
    {prefix} inlet(self, body, __user__):
        me = __user__["id"]
        chat = {call}Chats.insert_new_chat(me, ChatForm(chat={{"title": "First", "history": {{"messages": {{}}}}}}))
        {call}Chats.upsert_message_to_chat_by_id_and_message_id(chat.id, "m1", {{"role": "user", "content": "Hi"}})
        {call}Chats.upsert_message_to_chat_by_id_and_message_id(chat.id, "m1", {{"content": "Hello"}})
        {call}Chats.add_message_status_to_chat_by_id_and_message_id(chat.id, "m1", {{"description": "d"}})
        {call}Chats.update_chat_title_by_id(chat.id, "Second")
        found = {call}Chats.get_chat_by_id_and_user_id(id=chat.id, user_id=me)
        return {{
            "title": found.title,
            "message": {call}Chats.get_message_by_id_and_message_id(chat.id, "m1"),
            "current": found.chat["history"]["currentId"],
            "list": [entry.title for entry in {call}Chats.get_chat_list_by_user_id(me, limit=5)],
            "others": {call}Chats.get_chat_by_id_and_user_id(chat.id, "u2"),
            "unknown": {call}Chats.upsert_message_to_chat_by_id_and_message_id("none", "m", {{}}),
            "empty": {call}Chats.get_chat_by_id(None),
            "files": {call}Chats.add_message_files_by_id_and_message_id(chat.id, "m1", [{{"id": "f"}}]),
            "deleted": {call}Chats.delete_chat_by_id(chat.id),
            "gone": {call}Chats.get_chat_by_id(chat.id),
        }}
"""
    assert inlet(worker, source, Gateway()) == {
        "title": "Second",
        "message": {"role": "user", "content": "Hello", "statusHistory": [{"description": "d"}]},
        "current": "m1",
        "list": ["Second"],
        "others": None,
        "unknown": None,
        "empty": None,
        "files": [{"id": "f"}],
        "deleted": True,
        "gone": None,
    }


def test_memories(worker: Worker) -> None:
    source = """
from open_webui.models.memories import Memories
class Filter:
    def inlet(self, body):
        first = Memories.insert_new_memory("u1", "likes tea")
        Memories.insert_new_memory("u2", "likes coffee")
        Memories.update_memory_by_id_and_user_id(first.id, "u1", "likes green tea")
        other = Memories.update_memory_by_id_and_user_id(first.id, "u2", "stolen")
        mine = [memory.content for memory in Memories.get_memories_by_user_id("u1")]
        Memories.delete_memories_by_user_id("u1")
        return {"mine": mine, "other": other, "left": [memory.content for memory in Memories.get_memories()]}
"""
    assert inlet(worker, source, Gateway()) == {"mine": ["likes green tea"], "other": None, "left": ["likes coffee"]}


@pytest.mark.parametrize(
    ("module", "table", "one", "several"),
    [
        ("folders", "Folders", "folder", "folders"),
        ("knowledge", "Knowledges", "knowledge", "knowledges"),
        ("groups", "Groups", "group", "groups"),
        ("notes", "Notes", "note", "notes"),
        ("channels", "Channels", "channel", "channels"),
        ("feedbacks", "Feedbacks", "feedback", "feedbacks"),
        ("tags", "Tags", "tag", "tags"),
        ("skills", "Skills", "skill", "skills"),
    ],
)
def test_simple_tables(worker: Worker, module: str, table: str, one: str, several: str) -> None:
    source = f"""
from open_webui.models.{module} import {table}
class Filter:
    async def inlet(self, body):
        made = await {table}.insert_new_{one}("u1", {{"name": "n", "title": "n", "type": "t"}})
        changed = await {table}.update_{one}_by_id(made.id, {{"data": {{"k": 1}}}})
        found = await {table}.get_{one}_by_id(made.id)
        listed = await {table}.get_{several}()
        gone = await {table}.delete_{one}_by_id(made.id)
        return {{"name": found.get("name") or found["title"], "data": found.data, "listed": len(listed), "gone": gone}}
"""
    assert inlet(worker, source, Gateway()) == {"name": "n", "data": {"k": 1}, "listed": 1, "gone": True}


def test_records_keep_odd_text(worker: Worker) -> None:
    source = """
from open_webui.models.memories import Memories
class Filter:
    def inlet(self, body):
        return {"content": Memories.insert_new_memory("u1", "a\\ud83d\\ude00b\\ud800c").content}
"""
    assert inlet(worker, source, Gateway()) == {"content": "a\U0001f600b\ufffdc"}

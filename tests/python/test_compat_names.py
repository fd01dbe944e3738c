"""Names functions import of `open_webui`, and what happens with those that mean nothing here."""

from __future__ import annotations

import pytest
from answering import Gateway, inlet
from driver import Kind, Worker

#: The names that community functions import at module level, by module.
NAMES = {
    "apps.webui.models.chats": "Chats",
    "apps.webui.models.files": "Files",
    "apps.webui.models.users": "Users",
    "config": "CACHE_DIR DATA_DIR UPLOAD_DIR WEBUI_URL",
    "constants": "ERROR_MESSAGES MESSAGES TASKS",
    "env": "AIOHTTP_CLIENT_TIMEOUT DATA_DIR GLOBAL_LOG_LEVEL SRC_LOG_LEVELS VERSION",
    "functions": "Function",
    "internal.db": "Base JSONField engine get_async_db_context get_db",
    "main": "app chat_completed generate_chat_completion generate_chat_completions get_all_models webui_app",
    "models.auths": "Auths",
    "models.channels": "Channels",
    "models.chats": "Chat ChatForm ChatModel Chats ChatTitleIdResponse",
    "models.feedbacks": "Feedbacks",
    "models.files": "FileForm FileModel FileModelResponse Files",
    "models.folders": "Folders",
    "models.functions": "FunctionModel Functions",
    "models.groups": "Groups",
    "models.knowledge": "KnowledgeForm Knowledges",
    "models.memories": "Memories MemoryModel",
    "models.messages": "Messages",
    "models.models": "ModelForm ModelMeta ModelModel ModelParams Models",
    "models.notes": "NoteForm Notes",
    "models.prompts": "Prompts",
    "models.tools": "ToolModel Tools",
    "models.users": "User UserModel Users",
    "retrieval.utils": "get_sources_from_files",
    "retrieval.vector.factory": "VECTOR_DB_CLIENT",
    "routers.files": "get_file_by_id upload_file upload_file_handler",
    "routers.images": "GenerateImageForm image_generations load_b64_image_data upload_image",
    "routers.memories": "AddMemoryForm MemoryUpdateModel QueryMemoryForm add_memory delete_memory_by_id query_memory",
    "routers.ollama": "generate_chat_completion",
    "routers.openai": "generate_chat_completion",
    "routers.pipelines": "process_pipeline_inlet_filter",
    "routers.retrieval": "ProcessFileForm SearchForm process_file process_web_search",
    "routers.tasks": "generate_queries",
    "routers.users": "get_user_by_id",
    "socket.main": "get_event_call get_event_emitter sio",
    "storage.provider": "Storage",
    "tasks": "create_task",
    "utils.access_control": "has_access has_permission",
    "utils.auth": "get_verified_user",
    "utils.chat": "chat_action chat_completed generate_chat_completion",
    "utils.filter": "get_sorted_filter_ids process_filter_functions",
    "utils.middleware": "process_chat_payload",
    "utils.misc": "add_or_update_system_message get_last_assistant_message get_last_user_message "
    "get_last_user_message_item get_messages_content openai_chat_chunk_message_template "
    "openai_chat_completion_message_template openai_chat_message_template pop_system_message",
    "utils.models": "get_all_models",
    "utils.plugin": "load_function_module_by_id",
    "utils.task": "get_task_model_id rag_template",
    "utils.tools": "get_tools",
    "utils.webhook": "post_webhook",
}

ANY_FILTER = "\nclass Filter:\n    def inlet(self, body):\n        return body\n"


@pytest.mark.parametrize("module", NAMES)
def test_names_that_functions_import_are_there(worker: Worker, module: str) -> None:
    lines = [f"from open_webui.{module} import {name}" for name in NAMES[module].split()]
    _, answer = worker.try_load("\n".join([*lines, f"import open_webui.{module}"]) + ANY_FILTER)
    assert answer.kind == Kind.READY, answer.payload
    assert not any(frame.kind == Kind.LOG for frame in worker.received), "an import alone is no use"


def test_old_spellings_are_the_same_modules(worker: Worker) -> None:
    source = """
from apps.webui.models.users import Users
from open_webui.apps.webui.models import chats
from config import CACHE_DIR
from main import generate_chat_completions
from utils.misc import get_last_user_message
import open_webui.models.users, open_webui.models.chats
import inspect
class Filter:
    def inlet(self, body):
        same = Users is open_webui.models.users.Users and chats is open_webui.models.chats
        return {"same": same, "name": open_webui.models.users.__spec__.name}
"""
    assert inlet(worker, source, Gateway()) == {"same": True, "name": "open_webui.models.users"}


@pytest.mark.needs("pydantic")
def test_stand_ins_can_be_used_and_say_so_once(worker: Worker) -> None:
    source = """
import copy, inspect, json
from pydantic import BaseModel
from open_webui.internal.db import Base, get_db
from open_webui.retrieval.vector.factory import VECTOR_DB_CLIENT as CLIENT
from open_webui.routers.retrieval import SearchForm, process_web_search
from open_webui.utils.nothing import some_decorator, SomeError, LIMIT
class Row(Base):
    __tablename__ = "row"
class Wrapped(BaseModel):
    form: SearchForm = None
@some_decorator
def decorated(text):
    return text + "!"
class Filter:
    async def inlet(self, body):
        result = await process_web_search(None, SearchForm(query="q"), None)
        with get_db() as db:
            rows = db.query(Row).filter(1).all()
        async with get_db() as db:
            first = await db.execute("select 1")
        return {
            "result": [bool(result), list(result), len(result["docs"]), str(result), f"{result.text}"],
            "rows": list(rows),
            "first": bool(first),
            "search": bool(CLIENT.search(collection_name="c")),
            "decorated": decorated("a"),
            "row": Row.__tablename__,
            "instance": isinstance(3, SearchForm),
            "numbers": [int(LIMIT), LIMIT < 3, "a" + LIMIT],
            "copies": copy.deepcopy(LIMIT) is not None,
            "dump": LIMIT,
        }
"""
    assert inlet(worker, source, Gateway()) == {
        "result": [False, [], 0, "", ""],
        "rows": [],
        "first": False,
        "search": False,
        "decorated": "a!",
        "row": "row",
        "instance": False,
        "numbers": [0, False, "a"],
        "copies": True,
        "dump": {},
    }
    lines = "".join(frame.payload.decode() for frame in worker.logged())
    for name in ("routers.retrieval.process_web_search", "internal.db.get_db", "vector.factory.VECTOR_DB_CLIENT"):
        assert lines.count(f"{name}` does nothing in this gateway; first used in function_under_test.py, line") == 1


def test_methods_that_tables_lack_do_nothing(worker: Worker) -> None:
    source = """
from open_webui.models.users import Users
class Filter:
    async def inlet(self, body):
        return {"plain": bool(Users.update_user_role_by_id("u1", "admin")), "awaited": bool(await Users.no_such(1))}
"""
    assert inlet(worker, source, Gateway()) == {"plain": False, "awaited": False}
    assert b"models.users.UsersTable.update_user_role_by_id" in b"".join(frame.payload for frame in worker.logged())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from open_webui.utils.misc import get_nothing", "get_last_user_message"),
        ("from open_webui.constants import NOTHING", "ERROR_MESSAGES"),
        ("from open_webui.functions import Pipe", "Function"),
        ("import open_webui.frobnicate", "open_webui.models.users"),
        ("import open_webui.utils.misc.more", "open_webui.utils.misc"),
    ],
)
def test_names_that_nobody_has_are_load_errors(worker: Worker, line: str, expected: str) -> None:
    _, answer = worker.try_load(line + ANY_FILTER)
    assert answer.kind == Kind.FAILED
    assert answer.json["type"] in ("ImportError", "ModuleNotFoundError")
    assert expected in answer.json["message"]

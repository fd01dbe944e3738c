"""Helpers, files and the HTTP request, as functions use them."""

from __future__ import annotations

import base64

import pytest
from answering import Gateway, inlet
from driver import Worker

EXPRESSIONS = [
    (
        "misc.deep_update({'a': {'b': 1}, 'c': 2}, {'a': {'d': 3}, 'c': {'e': 4}})",
        {"a": {"b": 1, "d": 3}, "c": {"e": 4}},
    ),
    ("misc.calculate_sha256_string('abc')[:8]", "ba7816bf"),
    ("misc.calculate_sha256(io.BytesIO(b'abc'))[:8]", "ba7816bf"),
    ("misc.calculate_sha256(__file__, 1024) == misc.calculate_sha256(open(__file__, 'rb'))", True),
    ("misc.validate_email_format('a@b.c'), misc.validate_email_format('a@localhost')", [True, True]),
    ("misc.validate_email_format('a.b'), misc.validate_email_format('a@b')", [False, False]),
    ("misc.sanitize_filename('My File (1).PDF')", "my-file-1pdf"),
    ("misc.extract_folders_after_data_docs('/x/data/docs/a/b/f.md')", ["a", "a/b"]),
    ("misc.extract_folders_after_data_docs('/x/f.md')", []),
    ("misc.parse_duration('1h30m').total_seconds(), misc.parse_duration('-1')", [5400.0, None]),
    ("misc.extract_urls('see https://a.test/x?y=1, or http://b.test.')", ["https://a.test/x?y=1", "http://b.test"]),
    ("misc.convert_logit_bias_input_to_json('5:200, 6:-1')", '{"5": 100, "6": -1}'),
    ("misc.strict_match_mime_type(['image/*', 'text/plain'], 'Image/PNG; q=1')", "image/png"),
    ("misc.strict_match_mime_type('text/plain', 'image/png')", None),
    (
        "misc.is_string_allowed('x@a.test', ['a.test', '!b.test']), misc.is_string_allowed('b.test', ['!b.test'])",
        [True, False],
    ),
    ("misc.sanitize_data_for_db({'a': ['b\\x00c']})", {"a": ["bc"]}),
    ("misc.freeze({'a': [1]}) in {misc.freeze({'a': [1]})}", True),
    ("misc.get_gravatar_url(' A@b.c ') == misc.get_gravatar_url('a@b.c')", True),
    (
        'misc.parse_ollama_modelfile(\'FROM m:1\\nSYSTEM """Be\\nbrief."""\\nPARAMETER temperature 0.5\\nPARAMETER stop "a"\')',
        {"base_model_id": "m:1", "params": {"system": "Be\nbrief.", "temperature": 0.5, "stop": ["a"]}},
    ),
    (
        "[m['id'] for m in misc.get_message_list({'a': {'id': 'a'}, 'b': {'id': 'b', 'parentId': 'a'}}, 'b')]",
        ["a", "b"],
    ),
    (
        "misc.set_last_user_message_content('y', [{'role': 'user', 'content': [{'type': 'text', 'text': 'x'}]}])[0]['content'][0]['text']",
        "y",
    ),
    ("misc.update_message_content({'content': 'a'}, 'b')", {"content": "a\nb"}),
    (
        "task.replace_prompt_variable('<{{prompt}}|{{prompt:start:2}}|{{prompt:end:2}}|{{prompt:middletruncate:2}}>', 'abcd')",
        "<abcd|ab|cd|a...d>",
    ),
    (
        "task.replace_messages_variable('{{MESSAGES:END:1}}', [{'role': 'user', 'content': 'a'}, {'role': 'user', 'content': 'b'}])",
        "USER: b",
    ),
    ("task.rag_template('{{CONTEXT}}/[query]', 'c', 'q')", "c/q"),
    ("task.prompt_template('{{USER_NAME}} {{USER_LOCATION}}', {'name': 'Ann'})", "Ann Unknown"),
    ("task.get_task_model_id('a', 'local', 'far', {'a': {'owned_by': 'openai'}, 'far': {}})", "far"),
    ("payload.apply_model_params_to_body_openai({'temperature': '0.5', 'x': 1}, {})", {"temperature": 0.5}),
    (
        "payload.apply_system_prompt_to_body('Hi {{USER_NAME}}', {'messages': []}, {}, {'name': 'Ann'})",
        {"messages": [{"role": "system", "content": "Hi Ann"}]},
    ),
    (
        "access.has_access('u1', 'write', {'write': {'user_ids': ['u1']}}), access.has_access('u2', 'write', {'write': {'user_ids': ['u1']}})",
        [True, False],
    ),
    ("access.has_access('u1', 'read', None), access.has_access('u1', 'write', None)", [True, False]),
    ("access.has_permission('u1', 'features.web', {'features': {'web': True}})", True),
    ("constants.ERROR_MESSAGES.DEFAULT('x'), constants.TASKS.DEFAULT == 'default'", ["[ERROR: x]", True]),
    ("headers.include_user_info_headers({'a': 'b'}, Users.get_user_by_id('u1'))['X-OpenWebUI-User-Name']", "Ann"),
    (
        "config.WEBUI_URL.value, bool(config.ENABLE_NOTHING.value), str(config.UPLOAD_DIR).endswith('data/uploads')",
        ["", False, True],
    ),
    (
        "misc.convert_output_to_messages([{'type': 'function_call', 'call_id': 'c', 'name': 'n', 'arguments': '{}'},"
        " {'type': 'function_call_output', 'call_id': 'c', 'output': [{'text': 'r'}]},"
        " {'type': 'message', 'content': [{'type': 'output_text', 'text': 'a'}]}])",
        [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "n", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "assistant", "content": "a"},
        ],
    ),
    ('plugin.extract_frontmatter(\'"""\\ntitle: A b\\n"""\\nx: 1\')', {"title": "A b"}),
    ("middleware.process_tool_result(None, 'n', {'a': 1}, 'x')", ['{"a": 1}', [], []]),
    ("os.path.isdir(config.CACHE_DIR), env.DATA_DIR == config.DATA_DIR", [True, True]),
    ("'\\ud83d\\ude00 \\ud800'", "\U0001f600 \ufffd"),
]


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS, ids=[text[:40] for text, _ in EXPRESSIONS])
def test_helpers(worker: Worker, expression: str, expected: object) -> None:
    source = f"""
import io, os
from open_webui import config, constants, env
from open_webui.models.users import Users
from open_webui.utils import access_control as access, headers, middleware, misc, payload, plugin, task
class Filter:
    def inlet(self, body):
        return {{"it": ({expression})}}
"""
    assert inlet(worker, source, Gateway()) == {"it": expected}


@pytest.mark.parametrize(("prefix", "call"), [("def", ""), ("async def", "await ")])
def test_files_are_stored_and_found_by_another_process(worker: Worker, prefix: str, call: str) -> None:
    source = f"""
import io, os
from open_webui.models.files import Files, FileForm
from open_webui.storage.provider import Storage
class Filter:
    {prefix} inlet(self, body, __user__):
        contents, path = {call}Storage.upload_file(io.BytesIO(b"hello"), "n_hello.txt", {{}})
        form = FileForm(id="n", filename="hello.txt", path=path, meta={{"content_type": "text/plain"}})
        file = {call}Files.insert_new_file(__user__["id"], form)
        {call}Files.update_file_data_by_id("n", {{"content": "hello"}})
        {call}Files.update_file_metadata_by_id("n", {{"size": 5}})
        os.remove(path)
        with open({call}Storage.get_file(file.path), "rb") as stored:
            again = stored.read().decode()
        found = {call}Files.get_file_by_id("n")
        {call}Storage.delete_file(path)
        return {{"again": again, "size": len(contents), "data": found.data, "meta": found.meta, "id": found["id"]}}
"""
    gateway = Gateway()
    assert inlet(worker, source, gateway) == {
        "again": "hello",
        "size": 5,
        "data": {"content": "hello"},
        "meta": {"content_type": "text/plain", "size": 5},
        "id": "n",
    }
    assert gateway.blobs == {}


def test_a_file_that_is_nowhere_is_an_error(worker: Worker) -> None:
    source = """
from open_webui.storage.provider import Storage
class Filter:
    def inlet(self, body):
        return {"path": Storage.get_file("/x/none.txt")}
"""
    assert "none.txt" in inlet(worker, source, Gateway())["message"]


@pytest.mark.needs("fastapi")
def test_uploads_from_functions(worker: Worker) -> None:
    source = """
import io
from fastapi import UploadFile
from open_webui.models.files import Files
from open_webui.models.users import Users
from open_webui.routers.files import upload_file_handler
from open_webui.routers.images import load_b64_image_data, upload_image
from open_webui.routers.retrieval import ProcessFileForm, process_file
class Filter:
    async def inlet(self, body, __request__, __user__):
        user = Users.get_user_by_id(__user__["id"])
        upload = UploadFile(io.BytesIO(b"note"), filename="note.txt", headers={"content-type": "text/plain"})
        item = upload_file_handler(__request__, file=upload, metadata={"chat_id": "c"}, process=False, user=user)
        done = await process_file(__request__, ProcessFileForm(file_id=item.id), user)
        data, kind = load_b64_image_data("data:image/webp;base64,aGk=")
        url = upload_image(__request__, data, kind, {"a": 1}, user)
        picture = Files.get_file_by_id(url.split("/")[-2])
        return {
            "meta": item.meta,
            "owner": item["user_id"],
            "done": [done["content"], done["collection_name"] == f"file-{item.id}"],
            "text": Files.get_file_by_id(item.id).data["content"],
            "path": __request__.app.url_path_for("get_file_content_by_id", id=item.id).replace(item.id, "ID"),
            "picture": [picture.filename, picture.meta["content_type"], picture.meta["data"]],
        }
"""
    gateway = Gateway()
    assert inlet(worker, source, gateway) == {
        "meta": {"name": "note.txt", "content_type": "text/plain", "size": 4, "data": {"chat_id": "c"}},
        "owner": "u1",
        "done": ["note", True],
        "text": "note",
        "path": "/api/v1/files/ID/content",
        "picture": ["generated-image.webp", "image/webp", {"a": 1}],
    }
    assert sorted(base64.b64decode(blob) for blob in gateway.blobs.values()) == [b"hi", b"note"]


@pytest.mark.parametrize("call", ["", "await "])
def test_memories_are_found_by_their_words(worker: Worker, call: str) -> None:
    source = f"""
from open_webui.models.users import Users
from open_webui.routers.memories import AddMemoryForm, QueryMemoryForm, add_memory, delete_memory_by_id, query_memory
class Filter:
    async def inlet(self, body, __request__, __user__):
        user = Users.get_user_by_id(__user__["id"])
        for text in ("User likes green tea", "User lives in Rome", "User has a dog"):
            await add_memory(request=__request__, form_data=AddMemoryForm(content=text), user=user)
        form = QueryMemoryForm(content="which tea is green?", k=2)
        found = {call}query_memory(__request__, form, user)
        {call}delete_memory_by_id(found.ids[0][0], user=user)
        again = {call}query_memory(__request__, form, user)
        return {{"found": found.documents, "best": 0 < found.distances[0][0] < 1, "again": again.documents}}
"""
    assert inlet(worker, source, Gateway()) == {"found": [["User likes green tea"]], "best": True, "again": [[]]}


def test_the_request_and_its_application(worker: Worker) -> None:
    source = """
from open_webui.main import app
class Filter:
    async def inlet(self, body, __request__):
        state = __request__.app.state
        known = state.MODELS["mani.en"]["name"]
        listed = sorted(state.MODELS)
        return {
            "known": known,
            "listed": listed,
            "same": app.state.MODELS is state.MODELS,
            "get": state.MODELS.get("none", {}).get("name"),
            "config": bool(state.config.ENABLE_X),
            "redis": state.redis,
            "members": "MODELS" in state._state,
            "functions": list(state.FUNCTIONS),
            "body": (await __request__.json())["model"],
            "bytes": (await __request__.body()).decode(),
            "state": bool(__request__.state.token.credentials),
            "url_for": str(__request__.url_for("get_file_by_id", id="i")),
            "cookies": __request__.cookies["a"],
            "base": str(__request__.base_url),
        }
"""
    gateway = Gateway(**{"models.list": [{"id": "echo"}, {"id": "mani.en", "name": "English"}]})
    described = {"url": "http://h.test/api", "headers": {"Cookie": "a=b"}, "body": {"model": "m"}}
    assert inlet(worker, source, gateway, request=described) == {
        "known": "English",
        "listed": ["echo", "mani.en"],
        "same": True,
        "get": None,
        "config": False,
        "redis": None,
        "members": True,
        "functions": ["under_test"],
        "body": "m",
        "bytes": '{"model": "m"}',
        "state": False,
        "url_for": "http://h.test/api/v1/files/i",
        "cookies": "b",
        "base": "http://h.test/",
    }
    assert gateway.methods() == ["models.list"]


def test_siblings_of_a_process_find_each_other(worker: Worker) -> None:
    other = worker.load("VALUE = 3\nclass Filter:\n    factor = 2\n", "other")
    source = """
import sys
from open_webui.utils.plugin import load_function_module_by_id
class Filter:
    def inlet(self, body, __request__):
        instance, kind, _ = load_function_module_by_id("other")
        return {
            "module": sys.modules["function_other"].VALUE,
            "factor": instance.factor,
            "kind": kind,
            "state": __request__.app.state.FUNCTIONS["other"] is instance,
        }
"""
    assert inlet(worker, source, Gateway()) == {"module": 3, "factor": 2, "kind": "filter", "state": True}
    assert other


def test_events_by_way_of_the_socket(worker: Worker) -> None:
    source = """
from open_webui.socket.main import get_event_call, get_event_emitter
class Filter:
    async def inlet(self, body, __metadata__):
        emit = get_event_emitter(__metadata__)
        await emit({"type": "status", "data": {"description": "d"}})
        return {"answer": await (await get_event_call(__metadata__))({"type": "input"})}
"""
    assert list(inlet(worker, source, Gateway())) == ["answer"]
    assert [frame.json["type"] for frame in worker.received] == ["status"]


def test_tools_with_extra_parameters(worker: Worker) -> None:
    source = """
import inspect
from open_webui.utils.tools import get_async_tool_function_and_apply_extra_params, get_tools, get_updated_tool_function
def add(a: int, __user__: dict, b: int = 1) -> str:
    return f"{a + b} {__user__['name']}"
class Filter:
    async def inlet(self, body, __request__, __user__):
        tool = get_async_tool_function_and_apply_extra_params(add, {"__user__": __user__, "__id__": "x"})
        other = get_updated_tool_function(tool, {"__user__": {"name": "Bob"}})
        return {
            "first": await tool(a=1),
            "second": await other(a=2),
            "parameters": list(inspect.signature(tool).parameters),
            "none": [get_tools(__request__, ["t"], None, {}), await get_tools(__request__, ["t"], None, {})],
        }
"""
    assert inlet(worker, source, Gateway()) == {
        "first": "2 Ann",
        "second": "3 Bob",
        "parameters": ["a", "b"],
        "none": [{}, {}],
    }

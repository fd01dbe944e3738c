"""What holds for every function we ship."""

import ast
import re
import sys
from collections.abc import Iterator

import pytest
from conftest import FILTERS, Load, source

NAMES = sorted(path.stem for path in FILTERS.glob("*.py"))
FIELDS = ["title", "author", "version", "license", "description"]
HANDLERS = ("inlet", "stream", "outlet", "pipe", "pipes")
HOST_REWRITES = ("from utils", "from apps", "from main", "from config")


def frontmatter(text: str) -> dict[str, str]:
    """The fields a host reads from the head of a file."""
    lines = text.splitlines()
    fields = {}
    if lines[0].strip() == '"""':
        for line in lines[1:]:
            if '"""' in line:
                break
            if found := re.match(r"\s*([A-Za-z_]+):(.*)", line):
                fields[found[1].strip()] = found[2].strip()
    return fields


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_there_are_six() -> None:
    assert NAMES == [
        "model_router",
        "models_manifold",
        "redact",
        "system_prompt",
        "token_budget",
        "turn_limit",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_frontmatter_has_exactly_our_fields(name: str) -> None:
    fields = frontmatter(source(name))
    assert list(fields) == FIELDS
    assert all(fields.values())


@pytest.mark.parametrize("name", NAMES)
def test_head_names_every_valve(name: str, load: Load) -> None:
    module = load(name)
    plugin = getattr(module, "Pipe", None) or module.Filter
    head = module.__doc__ or ""
    for schema in (plugin.Valves, getattr(plugin, "UserValves", plugin.Valves)):
        assert [
            field for field in schema.model_fields if not re.search(rf"\b{field}\b", head)
        ] == []
        assert all(field.description for field in schema.model_fields.values())


@pytest.mark.parametrize("name", NAMES)
def test_imports_are_the_standard_library_pydantic_and_guarded_ones(name: str) -> None:
    tree = ast.parse(source(name))
    guarded = {
        node for block in ast.walk(tree) if isinstance(block, ast.Try) for node in block.body
    }
    found = set()
    for node in ast.walk(tree):
        if node not in guarded and isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if node not in guarded and isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    assert found - sys.stdlib_module_names <= {"pydantic"}


@pytest.mark.parametrize("name", NAMES)
def test_text_survives_the_import_rewrite_of_other_hosts(name: str) -> None:
    assert not [phrase for phrase in HOST_REWRITES if phrase in source(name)]


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_small(name: str) -> None:
    tree = ast.parse(source(name))
    long = [f.name for f in functions(tree) if (f.end_lineno or 0) - f.lineno >= 30]
    assert long == []


@pytest.mark.parametrize("name", NAMES)
def test_handlers_ask_for_nothing_a_host_might_not_have(name: str, load: Load) -> None:
    module = load(name)
    plugin = getattr(module, "Pipe", None) or module.Filter
    for handler in filter(None, (getattr(plugin, name, None) for name in HANDLERS)):
        code, optional = handler.__code__, len(handler.__defaults__ or ())
        required = code.co_varnames[1 : code.co_argcount - optional]
        assert set(required) <= {"body", "event"}


@pytest.mark.parametrize("name", ["turn_limit", "token_budget", "models_manifold"])
def test_works_without_fastapi(name: str, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    error = load(name).HTTPException(403, "no")
    assert (error.status_code, error.detail, str(error)) == (403, "no", "403: no")


@pytest.mark.parametrize("name", NAMES)
def test_without_pydantic_the_import_error_names_it(
    name: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(ImportError, match="pydantic"):
        load(name)

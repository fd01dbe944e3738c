"""What a model is told of the callables of a `Tools` class: names, descriptions and parameters."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

#: `:param name: what it is`, one line each.
PARAMETER_LINE = re.compile(r"^:param\s+(\w+):\s*(.*)$")

#: Where the part of a docstring ends that describes the whole.
DESCRIPTION_END = re.compile(r":param|:return")

#: Members of a schema that say what a value may be.
TYPE_WORDS = ("type", "anyOf", "oneOf", "allOf", "enum", "const", "$ref")

#: Members of a schema whose values are schemas by name, so that their keys are not words of JSON Schema.
NAMED_SCHEMAS = ("properties", "patternProperties", "$defs")

Schema = dict[str, Any]


def callables(instance: Any) -> dict[str, Callable[..., Any]]:
    """The callables that models may use, by name: everything public on the instance that is no class."""
    found = {}
    for name in dir(instance):
        if name.startswith("_"):
            continue
        try:
            attribute = getattr(instance, name, None)
        except Exception as error:
            # A property that works only within a request is no tool.
            print(f"`{name}` is left out: {type(error).__name__}")
            continue
        if callable(attribute) and not inspect.isclass(attribute):
            found[name] = attribute
    return found


def spec(name: str, tool: Callable[..., Any]) -> Schema:
    """The entry of one callable: `{"name", "description", "parameters"}`."""
    documented = inspect.getdoc(tool) or ""
    return {"name": name, "description": description(documented), "parameters": parameters(tool, documented)}


def description(documented: str) -> str:
    """The part of a docstring before its parameters, lines stripped."""
    lines = []
    for line in documented.strip().splitlines():
        line = line.strip()
        if line.startswith((":param", ":return")):
            break
        lines.append(line)
    return "\n".join(lines).rstrip()


def raw_description(name: str, tool: Callable[..., Any]) -> str:
    """What a model reads: the docstring before its parameters as it stands, or the name where there is none."""
    documented = getattr(tool, "__doc__", None)
    if not isinstance(documented, str) or not documented.strip():
        return name
    return DESCRIPTION_END.split(documented, maxsplit=1)[0]


def parameters(tool: Callable[..., Any], documented: str) -> Schema:
    """The schema of a callable's parameters. Those with a leading underscore are the host's to fill."""
    hints = type_hints(tool)
    described = {name: text.strip() for name, text in documented_parameters(documented)}
    properties: dict[str, Schema] = {}
    required = []
    for parameter in inspect.signature(tool).parameters.values():
        if parameter.name.startswith("_"):
            continue
        field = field_of(parameter, hints.get(parameter.name, parameter.empty))
        properties[parameter.name] = property_of(field, described.get(parameter.name))
        if field.is_required():
            required.append(parameter.name)
    schema: Schema = {"properties": properties}
    if required:
        schema["required"] = required
    return {**schema, "type": "object"}


def documented_parameters(documented: str) -> list[tuple[str, str]]:
    """The parameters that a docstring describes."""
    lines = (PARAMETER_LINE.match(line.strip()) for line in documented.splitlines())
    return [(line.group(1), line.group(2)) for line in lines if line]


def type_hints(tool: Callable[..., Any]) -> dict[str, Any]:
    """Annotations as types. One that cannot be evaluated is left out, and so says nothing."""
    function = inspect.unwrap(getattr(tool, "__func__", tool))
    if not hasattr(function, "__annotations__") and hasattr(tool, "__call__"):
        function = getattr(type(tool).__call__, "__func__", type(tool).__call__)
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:
        return evaluated_one_by_one(function, vars(type(getattr(tool, "__self__", None))))


def evaluated_one_by_one(function: Any, nested: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of which the names are known, to the module or else to the class that the function is in."""
    known: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = type("Alone", (), {"__annotations__": {name: annotation}, "__module__": function.__module__})
        for local in ({}, dict(nested)):
            try:
                known.update(typing.get_type_hints(alone, function.__globals__, local, include_extras=True))
                break
            except Exception:
                continue
    return known


def field_of(parameter: inspect.Parameter, hint: Any) -> FieldInfo:
    """A parameter as pydantic sees a field; `= Field(…)` is taken at its word."""
    annotation = str if hint is inspect.Parameter.empty else hint
    if parameter.default is inspect.Parameter.empty:
        return FieldInfo.from_annotation(annotation)
    return FieldInfo.from_annotated_attribute(annotation, parameter.default)


def property_of(field: FieldInfo, documented: str | None) -> Schema:
    """The schema of one parameter."""
    schema = without_null(inlined(type_schema(field)))
    if not any(word in schema for word in TYPE_WORDS):
        schema["type"] = "string"
    default = default_of(field)
    if default is not None:
        schema["default"] = default
    text = documented if documented is not None else field.description
    if text is not None:
        schema["description"] = text
    return schema


def type_schema(field: FieldInfo) -> Schema:
    """The schema of a field's type; none where pydantic has none."""
    annotation: Any = field.annotation
    if field.metadata:
        annotation = typing.Annotated[(annotation, *field.metadata)]
    try:
        return TypeAdapter(annotation).json_schema()
    except Exception:
        return {}


def default_of(field: FieldInfo) -> Any:
    """The default as JSON knows it; `None` says nothing."""
    default = None if field.default_factory is not None else field.default
    if default is PydanticUndefined or default is ...:
        return None
    try:
        return to_jsonable_python(default)
    except Exception:
        return None


def without_null(schema: Schema) -> Schema:
    """A schema that may be null is that of the value itself: leaving a parameter out says the same."""
    options = schema.get("anyOf")
    if not isinstance(options, list):
        return schema
    kept = [option for option in options if option != {"type": "null"}]
    rest = {word: value for word, value in schema.items() if word != "anyOf"}
    if len(kept) == 1:
        return {**kept[0], **rest}
    return {"anyOf": kept, **rest}


def inlined(schema: Schema) -> Schema:
    """A schema without titles and with its references replaced by what they name."""
    cleaned: Schema = clean(schema, schema.get("$defs", {}), ())
    cleaned.pop("$defs", None)
    return cleaned


def clean(node: Any, definitions: dict[str, Any], within: tuple[str, ...]) -> Any:
    """One part of a schema. A type that holds itself ends as `object` where it comes back."""
    if isinstance(node, list):
        return [clean(item, definitions, within) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        name = node["$ref"].rpartition("/")[2]
        rest = {word: value for word, value in node.items() if word != "$ref"}
        target = {"type": "object"} if name in within else definitions.get(name, {})
        return clean({**target, **rest}, definitions, (*within, name))
    return {word: clean_member(word, value, definitions, within) for word, value in node.items() if word != "title"}


def clean_member(word: str, value: Any, definitions: dict[str, Any], within: tuple[str, ...]) -> Any:
    """A member of a schema. Defaults and examples are values, and stay as they are."""
    if word in ("default", "examples", "enum", "const"):
        return value
    if word in NAMED_SCHEMAS and isinstance(value, dict):
        return {name: clean(schema, definitions, within) for name, schema in value.items()}
    return clean(value, definitions, within)

"""The part of `open_webui.utils.misc` that is not about messages: texts, hashes, dictionaries, streams."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import wraps
from pathlib import Path
from typing import Any

#: Bytes hashed at a time.
CHUNK_BYTES = 64 * 1024

#: Seconds of each unit of a duration.
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}

#: Directives of a Modelfile whose value may run over several lines.
MODELFILE_TEXTS = {"TEMPLATE": "template", "SYSTEM": "system", "ADAPTER": "adapter"}


def deep_update(target: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Puts members into a dictionary, and into the dictionaries in it; changes it in place."""
    for name, value in changes.items():
        if isinstance(value, dict):
            existing = target.get(name)
            target[name] = deep_update(existing if isinstance(existing, dict) else {}, value)
        else:
            target[name] = value
    return target


def freeze(value: Any) -> Any:
    """A value that can be a key: dictionaries as sets of pairs, lists as tuples."""
    if isinstance(value, dict):
        return frozenset((name, freeze(member)) for name, member in value.items())
    if isinstance(value, (list, set)):
        return tuple(freeze(member) for member in value)
    return value


def calculate_sha256(file: Any, chunk_size: int = CHUNK_BYTES) -> str:
    """The hash of a file, by its path or open for reading bytes."""
    digest = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        source = file if hasattr(file, "read") else stack.enter_context(Path(file).open("rb"))
        while piece := source.read(chunk_size):
            digest.update(piece)
    return digest.hexdigest()


def calculate_sha256_string(string: str) -> str:
    """The hash of a text."""
    return hashlib.sha256(string.encode("utf-8", "replace")).hexdigest()


def get_gravatar_url(email: str) -> str:
    """The address of the picture that belongs to an e-mail address."""
    return f"https://www.gravatar.com/avatar/{calculate_sha256_string(str(email).strip().lower())}?d=mp"


def validate_email_format(email: str) -> bool:
    """Whether a text has the form of an e-mail address; the domain `localhost` counts."""
    return email.endswith("@localhost") or re.match(r"[^@]+@[^@]+\.[^@]+", email) is not None


def sanitize_filename(file_name: str) -> str:
    """A file name of lower-case letters, digits and underscores, with dashes for spaces."""
    kept = re.sub(r"[^\w\s]", "", file_name.lower())
    return re.sub(r"\s+", "-", kept)


def sanitize_text_for_db(text: Any) -> Any:
    """A text without null characters and lone surrogates; other values as they are."""
    if not isinstance(text, str):
        return text
    return text.replace("\x00", "").encode("utf-8", "surrogatepass").decode("utf-8", "ignore")


def sanitize_data_for_db(value: Any) -> Any:
    """A value with all its texts sanitized."""
    if isinstance(value, dict):
        return {name: sanitize_data_for_db(member) for name, member in value.items()}
    if isinstance(value, list):
        return [sanitize_data_for_db(member) for member in value]
    return sanitize_text_for_db(value)


def sanitize_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """The members that are JSON."""

    def is_json(value: Any) -> bool:
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            json.dumps(value)
            return True
        return False

    return {name: value for name, value in metadata.items() if is_json(value)}


def extract_folders_after_data_docs(path: str | Path) -> list[str]:
    """The folders of a file below `data/docs`, each with those above it."""
    parts = Path(path).parts
    with contextlib.suppress(ValueError):
        first = parts.index("data") + 1
        if parts[first : first + 1] == ("docs",):
            folders = parts[first + 1 : -1]
            return ["/".join(folders[: count + 1]) for count in range(len(folders))]
    return []


def extract_urls(text: str) -> list[str]:
    """The web addresses in a text."""
    return [found.rstrip(".,;:!?)]}'\"") for found in re.findall(r"https?://[^\s<>\"']+", text)]


def parse_duration(duration: str) -> timedelta | None:
    """A time such as `1h30m`; `None` for `0` and `-1`, which mean without end."""
    if duration in ("0", "-1"):
        return None
    found = re.findall(r"(-?\d+(?:\.\d+)?)(ms|s|m|h|d|w)", duration)
    if not found:
        raise ValueError(f"`{duration}` is no duration: write it as in `90s` or `1h30m`")
    return timedelta(seconds=sum(float(number) * SECONDS[unit] for number, unit in found))


def parse_ollama_modelfile(model_text: str) -> dict[str, Any]:
    """The base model and the parameters of a Modelfile."""
    params: dict[str, Any] = {}
    for directive, name in MODELFILE_TEXTS.items():
        found = re.search(rf'^{directive}\s+(?:"""(.*?)"""|(.+?)$)', model_text, re.S | re.M | re.I)
        if found:
            params[name] = (found[1] if found[1] is not None else found[2]).strip().strip('"')
    for name, value in re.findall(r"^PARAMETER\s+(\w+)\s+(.+?)\s*$", model_text, re.M | re.I):
        parsed = parsed_value(value)
        params[name] = [*params.get(name, []), parsed] if name == "stop" else parsed
    messages = re.findall(r"^MESSAGE\s+(\w+)\s+(.+?)\s*$", model_text, re.M | re.I)
    if messages:
        params["messages"] = [{"role": role, "content": content} for role, content in messages]
    base = re.search(r"^FROM\s+(\S+)", model_text, re.M | re.I)
    return {"base_model_id": base[1] if base else None, "params": params}


def parsed_value(text: str) -> Any:
    """A number, truth value or text as it is written."""
    with contextlib.suppress(ValueError):
        return json.loads(text.strip().lower() if text.strip().lower() in ("true", "false") else text)
    return text.strip('"')


def convert_logit_bias_input_to_json(user_input: str) -> str:
    """`token:bias, token:bias` as JSON, each bias between -100 and 100."""
    pairs = (pair.split(":") for pair in user_input.split(",") if pair.strip())
    biases = {token.strip(): max(-100, min(100, int(bias))) for token, bias in pairs}
    return json.dumps(biases)


def get_allow_block_lists(filter_list: Iterable[str] | None) -> tuple[list[str], list[str]]:
    """The names of a list, and those that it marks with `!`."""
    names = [name.strip() for name in filter_list or [] if name.strip()]
    allowed = [name for name in names if not name.startswith("!")]
    return allowed, [name[1:].strip() for name in names if name.startswith("!")]


def is_string_allowed(string: str | list[str], filter_list: Iterable[str] | None = None) -> bool:
    """Whether a text, or one of several, ends as one of the allowed names does and as none that is blocked."""
    allowed, blocked = get_allow_block_lists(filter_list)
    texts = [string] if isinstance(string, str) else list(string)
    if allowed and not any(text.endswith(name) for text in texts for name in allowed):
        return False
    return not any(text.endswith(name) for text in texts for name in blocked)


def strict_match_mime_type(supported: list[str] | str, header: str) -> str | None:
    """A content type without its parameters, if one of the supported ones covers it."""
    wanted = [part.strip() for part in (supported.split(",") if isinstance(supported, str) else supported)]
    kind = header.partition(";")[0].strip().lower()
    return kind if kind and any(fnmatchcase(kind, part.lower()) for part in wanted) else None


def throttle(interval: float = 10.0) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Lets a function run only once in so many seconds; calls between do nothing."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        last = -float("inf")

        @wraps(function)
        def throttled(*args: Any, **kwargs: Any) -> Any:
            nonlocal last
            if time.monotonic() - last < interval:
                return nothing() if inspect.iscoroutinefunction(function) else None
            last = time.monotonic()
            return function(*args, **kwargs)

        return throttled

    return decorate


async def nothing() -> None:
    """What a coroutine gives that does not run."""


async def cleanup_response(response: Any, session: Any) -> None:
    """Closes a response and its session."""
    if response is not None:
        response.close()
    if session is not None:
        await session.close()


async def stream_wrapper(response: Any, session: Any, content_handler: Any = None) -> AsyncIterator[bytes]:
    """The pieces of a response; it is closed after them."""
    try:
        stream = content_handler(response.content) if content_handler else response.content
        async for piece in stream:
            yield piece
    finally:
        await cleanup_response(response, session)


async def stream_chunks_handler(stream: Any) -> AsyncIterator[bytes]:
    """The lines of an aiohttp stream, however long they are."""
    rest = b""
    async for piece, _ in stream.iter_chunks():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest


def convert_output_to_messages(output: list[dict[str, Any]], raw: bool = False) -> list[dict[str, Any]]:
    """The items of a `Responses` answer as messages: texts, calls of tools, and what those gave."""
    messages: list[dict[str, Any]] = []
    for item in output:
        kind = item.get("type")
        if kind == "message":
            messages.append({"role": item.get("role", "assistant"), "content": text_of_parts(item.get("content"))})
        elif kind == "function_call":
            call = {"name": item.get("name", ""), "arguments": item.get("arguments", "{}")}
            entry = {"id": item.get("call_id", ""), "type": "function", "function": call}
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": ""})
            messages[-1].setdefault("tool_calls", []).append(entry)
        elif kind == "function_call_output":
            content = text_of_parts(item.get("output"))
            messages.append({"role": "tool", "tool_call_id": item.get("call_id", ""), "content": content})
    return messages


def text_of_parts(content: Any) -> str:
    """A text, or the texts of its parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)

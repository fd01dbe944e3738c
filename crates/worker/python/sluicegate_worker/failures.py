"""Exceptions as the gateway is told of them."""

import asyncio
import contextlib
import pkgutil
import sys
import traceback
from types import ModuleType
from typing import Any

Failure = dict[str, Any]


class WrongReturn(Exception):
    """A handler returned something the next step cannot use."""


class Unknown(Exception):
    """The gateway named a slot, request, handler or valves version that this worker does not have."""


def describe(error: BaseException, directory: str) -> Failure:
    """The exception's class and text, its HTTP status if it carries one, and where in the function it came from.

    `directory` is where the functions' source files are.
    """
    failure: Failure = {"type": type(error).__name__, "message": message(error)}
    # An attribute of the exception's own that raises says nothing about a status.
    with contextlib.suppress(Exception):
        failure.update(http_parts(error))
    failure["traceback"] = own_lines(error, directory)
    return failure


def http_parts(error: BaseException) -> Failure:
    """Status, detail and text of an exception that is an HTTP answer, whatever library its class is from."""
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or not hasattr(error, "detail"):
        return {}
    detail = plain(error.detail)
    return {"status": int(status), "detail": detail, "message": f"{int(status)}: {detail}"}


def message(error: BaseException) -> str:
    """The exception's text, also where its own `__str__` fails."""
    try:
        text = str(error)
    except BaseException:
        return f"<{type(error).__name__} without a readable message>"
    if isinstance(error, asyncio.CancelledError) and not text:
        return "the call was cancelled"
    if isinstance(error, ImportError) and (error.name or "").split(".")[0] == "open_webui":
        return f"{text}; {available(error.name or '')}"
    return text


def available(name: str) -> str:
    """What the compatibility package has in place of the missing `name`."""
    module = sys.modules.get(name)
    if module is not None and not hasattr(module, "__path__"):
        return f"`{name}` has: {', '.join(public_names(module))}"
    package = sys.modules["open_webui"]
    modules = pkgutil.walk_packages(package.__path__, "open_webui.")
    return f"there are: {', '.join(module.name for module in modules)}"


def public_names(module: ModuleType) -> list[str]:
    """The names a function may import from `module`."""
    names = getattr(module, "__all__", None) or [name for name, value in vars(module).items() if is_own(value)]
    return sorted(name for name in names if not name.startswith("_"))


def is_own(value: object) -> bool:
    """Whether a module's member is no import of another module's."""
    origin = getattr(value, "__module__", "open_webui")
    return not isinstance(value, ModuleType) and origin.partition(".")[0] == "open_webui"


def plain(detail: object) -> object:
    """A detail as JSON knows it, else its text."""
    if detail is None or isinstance(detail, (str, int, float, bool, dict, list)):
        return detail
    return str(detail)


def own_lines(error: BaseException, directory: str) -> str:
    """The traceback without the frames of the worker and of libraries."""
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(directory):
            lines.append(f'  File "<string>", line {frame.lineno}, in {frame.name}\n    {frame.line}\n')
    return "".join(lines) + f"{type(error).__name__}: {message(error)}\n"

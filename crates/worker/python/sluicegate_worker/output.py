"""What functions print and log, sent to the gateway as `Log` frames."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterable
from typing import Any

import sluicegate_core as core

from sluicegate_worker.link import Link
from sluicegate_worker.scope import CURRENT, NO_SLOT, OUTPUT_BYTES, Scope

#: The longest piece of a line without an end that is kept back.
PARTIAL_LINE_CHARACTERS = 4096


class Output:
    """Sends text under the name of the function that wrote it, up to a limit for each call."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.outside = Scope(NO_SLOT)

    def write(self, source: int, text: str) -> None:
        """Sends whole lines and keeps the rest until its line ends or its scope does."""
        scope = CURRENT.get() or self.outside
        text = scope.partial_lines.pop(source, "") + text
        cut = text.rfind("\n") + 1
        if len(text) - cut > PARTIAL_LINE_CHARACTERS:
            cut = len(text)
        if cut < len(text):
            scope.partial_lines[source] = text[cut:]
        if cut:
            self._send(scope, source, text[:cut])

    def finish(self, scope: Scope) -> None:
        """Sends what a scope that is over left without a line end."""
        while scope.partial_lines:
            source, text = scope.partial_lines.popitem()
            self._send(scope, source, text)

    def renew(self) -> None:
        """Lets code outside any call, such as threads of a function's own, write again."""
        self.outside.output_left = OUTPUT_BYTES

    def _send(self, scope: Scope, source: int, text: str) -> None:
        if scope.output_left <= 0:
            return
        data = text.encode("utf-8", "replace")
        kept = data[: scope.output_left].decode("utf-8", "ignore")
        scope.output_left -= len(data)
        self._link.send_raw(core.LOG, scope.slot_id, kept, source)
        if scope.output_left <= 0:
            self._link.send_raw(core.LOG, scope.slot_id, "output cut\n", source)


class Capture(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, output: Output, source: int) -> None:
        self._output = output
        self._source = source
        self.buffer = CaptureBytes(self)

    def write(self, text: str) -> int:
        """Takes any text; never fails and never waits."""
        self._output.write(self._source, text)
        return len(text)

    def writable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Stays open: code that closes it would silence everything that comes after."""

    def reconfigure(self, **_: Any) -> None:
        """Accepted, as scripts that set their encoding call it; there is nothing to set."""


class CaptureBytes(io.RawIOBase):
    """The byte stream below a `Capture`, for code that writes to `sys.stdout.buffer`."""

    def __init__(self, text: Capture) -> None:
        self._text = text

    def write(self, data: Any) -> int:
        """Takes bytes of UTF-8; others are replaced."""
        self._text.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def writable(self) -> bool:
        """Always."""
        return True


class CaptureHandler(logging.Handler):
    """The root logger's handler."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Sends the formatted record; one that cannot be formatted is told of on standard error."""
        try:
            self._output.write(core.LOGGING, self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class GuardedHandlers(list[logging.Handler]):
    """The root logger's handlers, of which ours stays: `basicConfig(force=True)` removes the others only."""

    def __init__(self, ours: logging.Handler, others: Iterable[logging.Handler] = ()) -> None:
        super().__init__([ours, *others])
        self._ours = ours

    def remove(self, handler: logging.Handler) -> None:
        """Removes any handler but ours."""
        if handler is not self._ours:
            super().remove(handler)


def install(link: Link) -> Output:
    """Takes over standard output, standard error and the root logger, before any function's code runs."""
    output = Output(link)
    sys.stdout = Capture(output, core.STDOUT)
    sys.stderr = Capture(output, core.STDERR)
    root = logging.getLogger()
    root.handlers = GuardedHandlers(CaptureHandler(output))
    root.setLevel(logging.INFO)
    return output

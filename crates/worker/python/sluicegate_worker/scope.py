"""What running code belongs to: the function whose output it writes and the valves it sees."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate_worker.context import RequestContext
    from sluicegate_worker.valves import ValvesStore

#: Bytes of output one scope may send.
OUTPUT_BYTES = 64 * 1024

#: Stands for a slot nobody knows.
NO_SLOT = 0xFFFF_FFFF


class Scope:
    """One load, call or other entry into a function's code.

    `valves` is the call's own copy, made when first asked for: assignments to it last as long as the scope.
    """

    __slots__ = ("__weakref__", "output_left", "partial_lines", "request", "slot_id", "store", "valves", "version")

    def __init__(
        self,
        slot_id: int,
        store: ValvesStore | None = None,
        version: int = 0,
        request: RequestContext | None = None,
    ) -> None:
        self.slot_id = slot_id
        self.store = store
        self.version = version
        self.request = request
        self.valves: Any = None
        self.output_left = OUTPUT_BYTES
        self.partial_lines: dict[int, str] = {}


#: The scope of the code that runs now. Tasks and `to_thread` inherit it, plain threads do not.
CURRENT: ContextVar[Scope | None] = ContextVar("sluicegate_scope", default=None)

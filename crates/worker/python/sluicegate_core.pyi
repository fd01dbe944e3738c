"""Types of the extension module, see `crates/worker/src`."""

from typing import Any

INITIAL_CREDIT: int
CREDIT_BYTES: int
GIVEN_UP: int

LOAD: int
VALVES: int
FORGET: int
OPEN: int
CLOSE: int
CALL: int
CANCEL: int
CREDIT: int
PING: int
CALLBACK_REPLY: int
UNLOAD: int
CONFINE: int
READY: int
FAILED: int
REPLY: int
ERROR: int
CHUNK: int
END: int
EMIT: int
LOG: int
PONG: int
CALLBACK: int

INLET: int
REQUEST: int
STREAM: int
OUTLET: int
PIPE: int
PIPES: int
ACTION: int
CHECK_VALVES: int
VALVES_SPEC: int
TOOL: int

ITEM_TEXT: int
ITEM_DATA: int
ITEM_RAW: int
ITEM_HEAD: int
ITEM_BODY: int

STDOUT: int
STDERR: int
LOGGING: int

class Core:
    def __init__(self, fd: int) -> None: ...
    def fileno(self) -> int: ...
    def read(self) -> list[tuple[int, int, int, int, Any]] | None: ...
    def send(self, kind: int, id: int, flags: int, handler: int, value: object) -> int: ...
    def send_raw(self, kind: int, id: int, flags: int, handler: int, payload: str | bytes) -> int: ...
    def flush(self) -> bool: ...

class Members:
    def __getitem__(self, name: str) -> Any: ...
    def __contains__(self, name: str) -> bool: ...
    def get(self, name: str) -> Any: ...

def confine(bounds: dict[str, Any]) -> list[tuple[str, bool, str]]: ...
def separate_processes(as_owner: bool) -> None: ...
def rejoin_processes(fd: int) -> None: ...
def fork_guard(fd: int) -> int: ...
def show_own_processes() -> None: ...
def separate_network() -> None: ...
def hide_process() -> None: ...
def adopt_orphans() -> None: ...
def dumps(value: object, ours: int = 2) -> bytes: ...
def loads(text: bytes) -> Any: ...
def thread_usage() -> tuple[float, int]: ...
def watch(fd: int) -> int: ...
def name_process(name: str) -> None: ...

"""The process workers are forked from: it has imported what functions usually import, and runs no function.

It talks to the gateway over descriptor 3, a SOCK_SEQPACKET socket with one JSON object per datagram:

- out `{"ready", "python", "modules"}` once, when the imports are done;
- in  `{"spawn": id, "memory_mib", "name", "apart"}` with the worker's end of its stream socket, and of one over which
  it may hand a listener to the gateway, and memory for its board; `apart` asks for process numbers of its own,
- out `{"spawned": id, "pid", "guard"}` with a pidfd, or `{"spawn_failed": id, "error"}`,
- out `{"exited": id, "pid", "status"}` for each child's end; `status` is as `waitpid` gives it.

It stays single-threaded, because a forked child has only the thread that forked.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import platform
import resource
import selectors
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
from typing import Any, NoReturn

import sluicegate_core

from sluicegate_worker import apart, confinement, worker
from sluicegate_worker.series import Board

CONTROL_FD = 3
MESSAGE_BYTES = 64 * 1024

#: What comes with a spawn: two sockets, and memory.
MOST_DESCRIPTORS = 3

#: When a worker looks for cycles of garbage, in objects and in rounds.
GC_THRESHOLDS = (20_000, 20, 50)

#: How long the end of the zygote waits for that of its children.
KILL_SECONDS = 2.0

#: A little longer than a worker takes at most once its socket is closed.
GRACE_SECONDS = 2.5
WARM_MODULES = ("asyncio", "pydantic", "fastapi", "httpx", "requests", "aiohttp")

#: What functions import most of the compatibility package, whose records take a moment to make.
OWN_MODULES = ("open_webui.main", "open_webui.models.functions", "open_webui.models.models", "open_webui.routers.files")


class Zygote:
    """The children, and the two things to wait for: the gateway and their end."""

    def __init__(self, control: socket.socket, scratch: str) -> None:
        self.control = control
        self.scratch = scratch
        self.children: dict[int, int] = {}
        self.guards: set[int] = set()
        self.cleaners: set[int] = set()
        self.forks = apart.Forks()
        self.selector = selectors.DefaultSelector()
        self.wakeup_read, self.wakeup_write = socket.socketpair()

    def run(self) -> None:
        """Serves until the gateway closes the control socket."""
        self._listen_for_children()
        self.selector.register(self.control, selectors.EVENT_READ)
        self.selector.register(self.wakeup_read, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in self.selector.select()]
            if self.wakeup_read in ready:
                self._reap()
            if self.control in ready and not self._serve():
                return

    def wait_for_children(self) -> None:
        """Waits a while for the workers, whose sockets close with the gateway, to end by themselves."""
        self.selector.unregister(self.control)
        deadline = time.monotonic() + GRACE_SECONDS
        while self.children and (left := deadline - time.monotonic()) > 0:
            if self.selector.select(left):
                self._reap()

    def kill_children(self) -> None:
        """Ends every worker, whatever it does, and what it has started."""
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
        self.children.clear()
        deadline = time.monotonic() + KILL_SECONDS
        while (pids := set(children())) and time.monotonic() < deadline:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _listen_for_children(self) -> None:
        self.wakeup_read.setblocking(False)
        self.wakeup_write.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wakeup_write.fileno(), warn_on_full_buffer=False)

    def _serve(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE_BYTES, MOST_DESCRIPTORS)
        except ConnectionResetError:
            # The gateway has gone without reading our last messages.
            return False
        if not data:
            return False
        message = json.loads(data)
        if "spawn" in message and descriptors:
            self._spawn(message, descriptors)
        return True

    def _spawn(self, message: dict[str, Any], descriptors: list[int]) -> None:
        spawn = message["spawn"]
        try:
            fork = self.forks.fork(bool(message.get("apart")))
        except OSError as error:
            close_all(descriptors)
            self._send({"spawn_failed": spawn, "error": str(error)})
            return
        if fork.pid == 0:
            self._forget_descriptors()
            become_worker(message, descriptors, worker_directory(self.scratch, spawn), fork.protection)
        close_all(descriptors)
        if fork.guard is not None:
            self.guards.add(fork.guard)
        self.children[fork.pid] = spawn
        self._announce(spawn, fork)

    def _forget_descriptors(self) -> None:
        # Their numbers are closed by range and soon used again: no destructor may close them later.
        self.selector.close()
        for own in (self.control, self.wakeup_read, self.wakeup_write):
            own.detach()

    def _announce(self, spawn: int, fork: apart.Fork) -> None:
        # The child cannot have been reaped yet, so its number is still its own.
        pidfd = os.pidfd_open(fork.pid)
        try:
            self._send({"spawned": spawn, "pid": fork.pid, "guard": fork.guard}, [pidfd])
        finally:
            os.close(pidfd)

    def _reap(self) -> None:
        try:
            while self.wakeup_read.recv(4096):
                pass
        except BlockingIOError:
            pass
        directories = []
        while (ended := next_ended()) is not None:
            pid, status = ended
            self.cleaners.discard(pid)
            self.guards.discard(pid)
            spawn = self.children.pop(pid, None)
            if spawn is not None:
                self._send({"exited": spawn, "pid": pid, "status": status})
                directories.append(worker_directory(self.scratch, spawn))
        self._end_orphans()
        for directory in directories:
            self._clear_away(directory)

    def _end_orphans(self) -> None:
        """Kills what programs of a dead worker have left: who loses his parent becomes a child of the zygote.

        Their own children come to us with their end.
        """
        for pid in children():
            if pid not in self.children and pid not in self.cleaners and pid not in self.guards:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _clear_away(self, directory: str) -> None:
        # In a process of its own: what a function has left there may take long, and nobody is to wait for it.
        try:
            pid = os.fork()
        except OSError:
            # The folder goes when the gateway starts again.
            return
        if pid == 0:
            self._forget_descriptors()
            remove_and_exit(directory)
        self.cleaners.add(pid)

    def _send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        # If the gateway is gone, the next read says so, and the loop ends.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self.control, [json.dumps(message).encode()], descriptors or [])


def next_ended() -> tuple[int, int] | None:
    """A child that has ended and its status, if there is one."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def children() -> list[int]:
    """The processes whose parent we are, as far as the kernel tells."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def remove_and_exit(directory: str) -> NoReturn:
    """Removes a folder with all that is in it."""
    try:
        # The control socket above all: as long as it is open anywhere, the zygote counts as alive.
        close_from(CONTROL_FD)
        remove_tree(directory)
    finally:
        os._exit(0)


def remove_tree(root: str) -> None:
    """Removes a folder with all that is in it, however deep: a function has made it.

    Folders are moved up before they are emptied, so that neither the stack nor the length of a path grows with the
    depth. The gateway has the same for what a killed zygote leaves (`src/host/scratch.rs`).
    """
    prefix, moved = f".removed-{time.time_ns()}", 0
    while entries := list(os.scandir(root)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, 0o700)
                    moved += 1
                    os.rename(inner.path, os.path.join(root, f"{prefix}-{moved}"))
                else:
                    os.unlink(inner.path)
            os.rmdir(entry.path)
    os.rmdir(root)


def become_worker(
    message: dict[str, Any], descriptors: list[int], directory: str, protection: apart.Protection | None
) -> NoReturn:
    """Turns the forked child into a worker. It never comes back to the zygote's loop, whatever happens."""
    try:
        board = Board(descriptors[2]) if len(descriptors) == MOST_DESCRIPTORS else None
        fd, handover = keep_only(descriptors[:2])
        reset_signals()
        limit_resources(message.get("memory_mib") or 0)
        sluicegate_core.name_process(str(message.get("name", "worker")))
        os.mkdir(directory, mode=0o700)
        # A body is hundreds of objects and no cycle: with the usual threshold every few calls would be searched for some.
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()
        worker.main(fd, directory, confinement.Means(handover, protection), board)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(1)


def keep_only(descriptors: list[int]) -> tuple[int, int | None]:
    """Closes every descriptor but the first three and those of the worker; returns the numbers that those have then."""
    # Above the numbers that they get, so that none is closed before it has moved.
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, CONTROL_FD + len(descriptors)) for fd in descriptors]
    for number, fd in enumerate(moved, CONTROL_FD):
        os.dup2(fd, number, inheritable=number == CONTROL_FD)
    close_from(CONTROL_FD + len(moved))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return CONTROL_FD, CONTROL_FD + 1 if len(moved) > 1 else None


def close_all(descriptors: list[int]) -> None:
    """Closes these descriptors."""
    for fd in descriptors:
        os.close(fd)


def close_from(lowest: int) -> None:
    """Closes this descriptor and all above it."""
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    os.closerange(lowest, highest + 1)


def reset_signals() -> None:
    """Takes back the zygote's handlers.

    What a terminal or a service manager sends to the whole group is the gateway's business: it lets its
    workers finish and then closes their sockets. Handlers that do nothing, unlike `SIG_IGN`, are not
    inherited by programs a function starts.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)


def limit_resources(memory_mib: int) -> None:
    """Bounds the address space, if told to, and forbids core dumps, which would hold prompts and keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_mib > 0:
        size = memory_mib * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def worker_directory(scratch: str, spawn: int) -> str:
    """All that a worker may write to for itself; removed when it has ended."""
    return os.path.join(scratch, str(spawn))


def warm_up() -> list[str]:
    """Imports what functions usually import; names what there is of other people's."""
    found = []
    for name in WARM_MODULES:
        try:
            importlib.import_module(name)
        except Exception:
            # Absent, or broken in this environment: a function that needs it will say so.
            continue
        found.append(name)
    for name in OWN_MODULES:
        importlib.import_module(name)
    return found


def take_control_socket() -> socket.socket:
    """The control socket: descriptor 3, or standard input where the gateway could only give us that one."""
    if os.isatty(0) or not stat.S_ISSOCK(os.fstat(0).st_mode):
        return socket.socket(fileno=CONTROL_FD)
    os.dup2(0, CONTROL_FD, inheritable=False)
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    return socket.socket(fileno=CONTROL_FD)


def main() -> None:
    """Warms up, reports, serves."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    # What is not confined yet is nothing for other processes of this user to look into.
    sluicegate_core.hide_process()
    sluicegate_core.adopt_orphans()
    control = take_control_socket()
    modules = warm_up()
    confinement.readable_paths()
    # Objects that live now are shared with every child: the collector must not touch their pages again.
    gc.disable()
    gc.freeze()
    ready = {"ready": True, "python": platform.python_version(), "modules": modules}
    control.send(json.dumps(ready).encode())
    scratch = tempfile.mkdtemp(prefix="sluicegate-")
    # Workers that become users of their own pass through it; each has a folder of its own below.
    os.chmod(scratch, 0o711)
    zygote = Zygote(control, scratch)
    try:
        zygote.run()
        zygote.wait_for_children()
    finally:
        zygote.kill_children()
        with contextlib.suppress(OSError):
            remove_tree(scratch)


if __name__ == "__main__":
    main()
    sys.exit(0)

"""The process workers are forked from: it has imported what functions usually import, and runs no function.

It talks to the gateway over descriptor 3, a SOCK_SEQPACKET socket with one JSON object per datagram:

- out `{"ready", "python", "modules"}` once, when the imports are done;
- in  `{"spawn": id, "memory_mib", "name"}` with the worker's end of its stream socket,
- out `{"spawned": id, "pid"}` with a pidfd, or `{"spawn_failed": id, "error"}`,
- out `{"exited": id, "pid", "status"}` for each child's end; `status` is as `waitpid` gives it.

It stays single-threaded, because a forked child has only the thread that forked.
"""

import contextlib
import gc
import importlib
import json
import os
import platform
import resource
import selectors
import shutil
import signal
import socket
import stat
import sys
import tempfile
import traceback
from typing import Any, NoReturn

import sluicegate_core

from sluicegate_worker import worker

CONTROL_FD = 3
MESSAGE_BYTES = 64 * 1024
WARM_MODULES = ("asyncio", "pydantic", "fastapi", "httpx", "requests", "aiohttp")

#: What functions import most of the compatibility package, whose records take a moment to make.
OWN_MODULES = ("open_webui.main", "open_webui.models.functions", "open_webui.models.models", "open_webui.routers.files")


class Zygote:
    """The children, and the two things to wait for: the gateway and their end."""

    def __init__(self, control: socket.socket, scratch: str) -> None:
        self.control = control
        self.scratch = scratch
        self.children: dict[int, int] = {}
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

    def kill_children(self) -> None:
        """Ends every worker, whatever it does."""
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)

    def _listen_for_children(self) -> None:
        self.wakeup_read.setblocking(False)
        self.wakeup_write.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wakeup_write.fileno(), warn_on_full_buffer=False)

    def _serve(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE_BYTES, 1)
        except ConnectionResetError:
            # The gateway has gone without reading our last messages.
            return False
        if not data:
            return False
        message = json.loads(data)
        if "spawn" in message and descriptors:
            self._spawn(message, descriptors[0])
        return True

    def _spawn(self, message: dict[str, Any], fd: int) -> None:
        spawn = message["spawn"]
        try:
            pid = os.fork()
        except OSError as error:
            os.close(fd)
            self._send({"spawn_failed": spawn, "error": str(error)})
            return
        if pid == 0:
            self._forget_descriptors()
            become_worker(message, fd, self.scratch)
        os.close(fd)
        self.children[pid] = spawn
        self._announce(spawn, pid)

    def _forget_descriptors(self) -> None:
        # Their numbers are closed by range and soon used again: no destructor may close them later.
        self.selector.close()
        for own in (self.control, self.wakeup_read, self.wakeup_write):
            own.detach()

    def _announce(self, spawn: int, pid: int) -> None:
        # The child cannot have been reaped yet, so its number is still its own.
        pidfd = os.pidfd_open(pid)
        try:
            self._send({"spawned": spawn, "pid": pid}, [pidfd])
        finally:
            os.close(pidfd)

    def _reap(self) -> None:
        try:
            while self.wakeup_read.recv(4096):
                pass
        except BlockingIOError:
            pass
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            shutil.rmtree(worker_directory(self.scratch, pid), ignore_errors=True)
            spawn = self.children.pop(pid, None)
            if spawn is not None:
                self._send({"exited": spawn, "pid": pid, "status": status})

    def _send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        # If the gateway is gone, the next read says so, and the loop ends.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self.control, [json.dumps(message).encode()], descriptors or [])


def become_worker(message: dict[str, Any], fd: int, scratch: str) -> NoReturn:
    """Turns the forked child into a worker. It never comes back to the zygote's loop, whatever happens."""
    try:
        fd = keep_only(fd)
        reset_signals()
        limit_resources(message.get("memory_mib") or 0)
        sluicegate_core.name_process(str(message.get("name", "worker")))
        directory = worker_directory(scratch, os.getpid())
        os.mkdir(directory, mode=0o700)
        gc.enable()
        worker.main(fd, directory)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(1)


def keep_only(fd: int) -> int:
    """Closes every descriptor but the first three and `fd`; returns the number `fd` has afterwards."""
    os.dup2(fd, CONTROL_FD)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    os.closerange(CONTROL_FD + 1, highest + 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return CONTROL_FD


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


def worker_directory(scratch: str, pid: int) -> str:
    """Where a worker keeps the source files of its functions; removed when it has ended."""
    return os.path.join(scratch, str(pid))


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
    control = take_control_socket()
    modules = warm_up()
    # Objects that live now are shared with every child: the collector must not touch their pages again.
    gc.disable()
    gc.freeze()
    ready = {"ready": True, "python": platform.python_version(), "modules": modules}
    control.send(json.dumps(ready).encode())
    scratch = tempfile.mkdtemp(prefix="sluicegate-")
    zygote = Zygote(control, scratch)
    try:
        zygote.run()
    finally:
        zygote.kill_children()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
    sys.exit(0)

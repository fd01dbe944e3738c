"""Tries to get out of its process: each message names a set of deeds, and the answer says what came of each."""

import asyncio
import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
#: Numbers of system calls; where one is missing the machine has no such call.
NUMBERS = {
    "x86_64": {"ptrace": 101, "writev": 311, "fork": 57, "vfork": 58, "clone": 56, "execve": 59, "prctl": 157},
    "aarch64": {"ptrace": 117, "writev": 271, "clone": 220, "execve": 221, "prctl": 167},
}[os.uname().machine]
#: Dumpable, the signal at the parent's death, the name.
PRCTLS = ((4, 1), (1, 9), (15, b"sluicegate"))


def call(name, *arguments):
    """A system call past Python."""
    result = LIBC.syscall(NUMBERS[name], *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def read(path):
    with open(path, "rb") as file:
        return file.read(64)


def write(path):
    with open(path, "ab") as file:
        file.write(b"was here")


def set_all_handlers():
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, lambda *_: None)


def fork(how):
    if how() == 0:
        os._exit(0)


async def run_program():
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()


def run_in_thread(run):
    outcome = []

    def target():
        try:
            outcome.append(run())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if isinstance(outcome[0], Exception):
        raise outcome[0]


def make_threads():
    gate, threads = threading.Event(), []
    try:
        while len(threads) < 100_000:
            thread = threading.Thread(target=gate.wait)
            thread.start()
            threads.append(thread)
    finally:
        gate.set()
        for thread in threads:
            thread.join()


def use_sqlite(path):
    with sqlite3.connect(path) as database:
        database.execute("create table if not exists notes (note text)")
        database.execute("insert into notes values ('kept')")


def use_temporary_file():
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")


def ask_admin(port):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"GET /api/v1/functions/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = connection.recv(64).decode()
        if " 401 " in head:
            raise PermissionError(errno.EPERM, head)


def processes(at):
    for name in ("gateway", "zygote"):
        pid = at[name]
        yield f"kill {name}", lambda pid=pid: os.kill(pid, signal.SIGKILL)
        yield f"stop {name} by its handle", lambda pid=pid: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGSTOP)
        yield f"read memory of {name}", lambda pid=pid: read(f"/proc/{pid}/mem")
        yield f"read maps of {name}", lambda pid=pid: read(f"/proc/{pid}/maps")
        yield f"read environment of {name}", lambda pid=pid: read(f"/proc/{pid}/environ")
        yield f"trace {name}", lambda pid=pid: call("ptrace", 16, pid, 0, 0)
        yield f"write memory of {name}", lambda pid=pid: call("writev", pid, 0, 0, 0, 0, 0)
        yield f"limit {name}", lambda pid=pid: resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0))
        yield f"slow {name} down", lambda pid=pid: os.setpriority(os.PRIO_PROCESS, pid, 19)
        yield f"have {name} signalled", lambda pid=pid: fcntl.fcntl(0, fcntl.F_SETOWN, pid)
    yield "kill everybody", lambda: os.kill(-1, signal.SIGKILL)
    yield "kill the group", lambda: os.killpg(0, signal.SIGKILL)
    yield "list processes", lambda: os.listdir("/proc")


def find(pid):
    os.close(os.pidfd_open(pid))


def numbers(at):
    yield "its own", os.getpid
    yield "its parent", os.getppid
    yield "its own in /proc", lambda: os.readlink("/proc/self")
    for name in ("gateway", "zygote"):
        yield f"find {name}", lambda pid=at[name]: find(pid)


def programs(_):
    yield "fork", lambda: fork(os.fork)
    for name in {"fork", "vfork"} & NUMBERS.keys():
        yield f"{name} past Python", lambda name=name: fork(lambda: call(name))
    yield "clone past Python", lambda: fork(lambda: call("clone", signal.SIGCHLD, 0, 0, 0, 0))
    yield "exec past Python", lambda: call("execve", b"/bin/true", 0, 0)
    yield "exec from memory", lambda: os.execve(os.memfd_create("program"), ["program"], {})
    yield "subprocess", lambda: subprocess.run(["true"], check=True)
    yield "system", lambda: os.system("true")
    yield "asyncio subprocess", lambda: run_in_thread(lambda: asyncio.run(run_program()))


def files(at):
    for name in ("config", "database", "source", "neighbour"):
        path = at[name]
        yield f"read {name}", lambda path=path: read(path)
        yield f"read {name} the other way", lambda path=path: read(f"/proc/self/root{path}")
        yield f"write {name}", lambda path=path: write(path)
        yield f"remove {name}", lambda path=path: os.unlink(path)
        yield f"cut {name}", lambda path=path: os.truncate(path, 0)
        yield f"link {name}", lambda path=path: os.link(path, "linked")
        yield f"own {name}", lambda path=path: os.chown(path, 1, 1)
    yield "list the data folder", lambda: os.listdir(at["data_dir"])
    yield "write outside", lambda: write(at["outside"])
    yield "write into our own code", lambda: write(os.path.join(os.path.dirname(__file__), "../../escaped"))
    yield "write into the packages", lambda: write(json.__file__)
    yield "write to shared memory", lambda: write("/dev/shm/escaped")
    yield "read a disk", lambda: read("/dev/vda")
    yield "read the terminal", lambda: read("/dev/tty")
    yield "a local service", lambda: socket.socket(socket.AF_UNIX)
    yield "the management API without a key", lambda: ask_admin(at["port"])


def modes(at):
    for name in ("config", "database"):
        path = at[name]
        yield f"close {name} to its owner", lambda path=path: os.chmod(path, 0)


def network(at):
    yield "connect", lambda: socket.create_connection(("127.0.0.1", at["port"]), 5).close()
    yield "open a socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()


def threads(_):
    yield "threads without end", make_threads


def tricks(_):
    yield "take all signals", set_all_handlers
    yield "prctl", lambda: [call("prctl", option, value) for option, value in PRCTLS]


def make_folders():
    here = os.open(".", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("inner")
        os.chdir("inner")
    os.fchdir(here)
    os.close(here)


def hoards(_):
    yield "folders in folders", make_folders


def usual(_):
    yield "a file", lambda: write("notes.txt")
    yield "a kept file", lambda: write("data/notes.txt")
    yield "a kept file by the variable", lambda: write(os.environ["DATA_DIR"] + "/more.txt")
    yield "a file at home", lambda: write(os.path.expanduser("~/.settings"))
    yield "a temporary file", use_temporary_file
    yield "a database", lambda: use_sqlite("data/notes.db")
    yield "a thread", lambda: run_in_thread(lambda: None)
    yield "a loop of its own", lambda: run_in_thread(lambda: asyncio.run(asyncio.sleep(0)))
    yield "a late import", lambda: __import__("xmlrpc.client")
    yield "a late package", lambda: __import__("pydantic.v1")
    yield "its own status", lambda: read("/proc/self/status")
    yield "random numbers", lambda: read("/dev/urandom")
    yield "names of hosts", lambda: socket.getaddrinfo("localhost", 80)
    yield "a signal to itself", lambda: os.kill(os.getpid(), 0)


SETS = {
    "processes": processes,
    "numbers": numbers,
    "programs": programs,
    "files": files,
    "modes": modes,
    "network": network,
    "threads": threads,
    "tricks": tricks,
    "hoards": hoards,
    "usual": usual,
}


def environment(_):
    with open("/proc/self/environ", encoding="utf-8", errors="replace") as file:
        return {"variables": dict(os.environ), "started with": file.read()}


def attempt(deed):
    try:
        told = deed()
    except PermissionError as error:
        return f"refused: {error}"
    except BaseException as error:
        return f"failed: {type(error).__name__}: {error}"
    return str(told) if isinstance(told, int | str) else "done"


class Pipe:
    async def pipe(self, body):
        at = json.loads(body["messages"][-1]["content"])
        if at["deeds"] == "environment":
            return json.dumps(environment(at))
        return json.dumps({name: attempt(deed) for name, deed in SETS[at["deeds"]](at)})

"""What a worker may reach: its folders, its environment, and what it gives up before it runs any code.

The payload of a `Confine` frame, the first that a worker gets:

- `isolation`: false leaves the kernel's protections away; folders and environment are set up all the same
- `data`: a folder that outlives the worker, or null; `protected`: paths that stay closed; `readable`, `writable`:
  further paths that may be read, or read and written
- `subprocesses`, `network`: booleans; `uid`: the user to become, or null
- `egress`: whether the network is an empty one, out of which only a proxy of the gateway's leads. The proxy's listener
  is opened here and handed to the gateway before the answer

The answer: `{"protections": [{"name", "in_force", "detail"}, …]}`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import resource
import site
import socket
import stat
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from typing import Any, NoReturn

import sluicegate_core as core

#: Programs, libraries and what belongs to them.
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store")

#: What of `/etc` the C library and its like read. Not the folder: keys of other services live there.
SETTINGS = (
    "ld.so.cache ld.so.conf ld.so.conf.d ssl pki ca-certificates ca-certificates.conf crypto-policies gnutls "
    "resolv.conf hosts host.conf nsswitch.conf gai.conf services protocols localtime timezone locale.alias "
    "locale.conf passwd group mime.types os-release debian_version lsb-release fonts alternatives magic OpenCL"
).split()

#: What the kernel tells of the machine and of this process.
KERNEL = (
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/version",
    "/proc/filesystems",
    "/proc/sys",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
)

#: Variables that name certificates.
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

#: Descriptors, bytes of one file, and threads where the count is of this worker alone.
MAX_DESCRIPTORS = 4096
MAX_FILE_BYTES = 8 << 30
MAX_THREADS = 1024

#: Where `multiprocessing` keeps its locks, which only those need that may have processes.
SHARED_MEMORY = "/dev/shm"

#: Where the gateway's proxy listens in a network that has nothing else, and the variables that lead programs there.
PROXY = ("127.0.0.1", 3128)
PROXY_VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
NO_PROXY_VARIABLES = ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY")

NO_PROGRAMS = "this function may not start programs; hint: set `subprocesses = true` for it in the configuration"


@dataclass
class Means:
    """What a worker was born with: a socket over which it can hand something to the gateway, and its own numbers."""

    handover: int | None = None
    #: What came of having process numbers of its own, if that was asked for.
    processes: tuple[bool, str] | None = None

    def close(self) -> None:
        """Lets go of the socket, which no function is to have."""
        if self.handover is not None:
            os.close(self.handover)
            self.handover = None


def confine(directory: str, orders: dict[str, Any], means: Means) -> list[dict[str, Any]]:
    """Carries a `Confine` frame out; tells which protections are in force."""
    data = orders.get("data")
    uid = orders.get("uid")
    closed = closed_way((*python_folders(), directory, data or directory)) if uid is not None else None
    own_uid = uid if closed is None else None
    folders = settle_in(directory, data, own_uid)
    limit(own_uid is not None)
    if not orders["isolation"]:
        return [{"name": "isolation", "in_force": False, "detail": "switched off by `python.isolation`"}]
    if orders["subprocesses"]:
        folders.append(SHARED_MEMORY)
    else:
        explain_refusals()
    network = leave_network(means) if orders.get("egress") else None
    told = core.confine(
        {
            "read": [*readable_paths(), *orders.get("readable", ())],
            "write": [*folders, *orders.get("writable", ())],
            "protected": [os.path.realpath(path) for path in orders.get("protected", ())],
            "uid": own_uid,
            "subprocesses": orders["subprocesses"],
            "network": orders["network"],
        }
    )
    told += [(name, *outcome) for name, outcome in (("processes", means.processes), ("hosts", network)) if outcome]
    protections = [{"name": name, "in_force": in_force, "detail": detail} for name, in_force, detail in told]
    if closed is not None:
        detail = f"`{closed}` is closed to other users; hint: `chmod o+x` it, or start the gateway as another user"
        protections.append({"name": "own user", "in_force": False, "detail": detail})
    return protections


def leave_network(means: Means) -> tuple[bool, str]:
    """Moves into an empty network and hands the gateway a listener there; tells whether that could be done, and how."""
    if means.handover is None:
        return False, "the gateway offers no way out"
    try:
        core.separate_network()
        with socket.create_server(PROXY) as listener, socket.socket(fileno=os.dup(means.handover)) as gateway:
            socket.send_fds(gateway, [b"listener"], [listener.fileno()])
    except OSError as error:
        return False, f"network namespace: {error.strerror}"
    for name in NO_PROXY_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(dict.fromkeys(PROXY_VARIABLES, "http://{}:{}".format(*PROXY)))
    return True, "network namespace, proxy"


def settle_in(directory: str, data: str | None, uid: int | None) -> list[str]:
    """Makes the folders that may be written and goes there; the environment says so."""
    home, temporary = os.path.join(directory, "home"), os.path.join(directory, "tmp")
    os.mkdir(home, 0o700)
    os.mkdir(temporary, 0o700)
    writable = [directory]
    if data is None:
        data = os.path.join(home, "data")
        os.mkdir(data, 0o700)
    else:
        writable.append(data)
        os.symlink(data, os.path.join(home, "data"))
    if uid is not None:
        for folder in (home, temporary, directory):
            os.chown(folder, uid, uid)
        hand_over(data, uid)
    os.chdir(home)
    tempfile.tempdir = None
    os.environ.update(
        HOME=home,
        TMPDIR=temporary,
        DATA_DIR=data,
        XDG_CACHE_HOME=os.path.join(data, ".cache"),
        XDG_CONFIG_HOME=os.path.join(home, ".config"),
        XDG_DATA_HOME=os.path.join(home, ".local/share"),
        XDG_STATE_HOME=os.path.join(home, ".local/state"),
        XDG_RUNTIME_DIR=temporary,
    )
    return writable


def hand_over(folder: str, uid: int) -> None:
    """Gives a folder and what is in it to a user, unless he has it."""
    if os.stat(folder).st_uid == uid:
        return
    for _, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, uid, uid, dir_fd=descriptor, follow_symlinks=False)
    os.chown(folder, uid, uid)


def limit(has_own_user: bool) -> None:
    """Bounds what the process may use up."""
    bound(resource.RLIMIT_CORE, 0)
    bound(resource.RLIMIT_NOFILE, MAX_DESCRIPTORS)
    bound(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    if has_own_user:
        # The kernel counts by user: for the gateway's own user it would count the gateway and all workers.
        bound(resource.RLIMIT_NPROC, MAX_THREADS)


def bound(what: int, value: int) -> None:
    """Lowers a limit; one that is lower already stays."""
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))


@functools.cache
def readable_paths() -> tuple[str, ...]:
    """What any Python code needs to read; found out once, by the zygote."""
    certificates = [os.environ[name] for name in CERTIFICATES if name in os.environ]
    settings = [os.path.join("/etc", name) for name in SETTINGS]
    return (*SYSTEM, *settings, *resolver_folders(), *KERNEL, *certificates, *python_folders())


def resolver_folders() -> list[str]:
    """Where the resolver's settings really are: a service there replaces the file, and a rule names the old one."""
    folder = os.path.dirname(os.path.realpath("/etc/resolv.conf"))
    return [folder] if folder.startswith("/run/") else []


@functools.cache
def python_folders() -> tuple[str, ...]:
    """The interpreter, its library, the packages and our own files."""
    own = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, *sys.path, *site.getsitepackages()}
    own |= {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    own.add(os.path.dirname(os.path.realpath(sys.executable)))
    return tuple(sorted(path for path in own if os.path.isabs(path) and os.path.exists(path)))


def closed_way(paths: tuple[str, ...]) -> str | None:
    """The first folder on the way to one of these that other users may not pass."""
    for path in paths:
        way = os.path.dirname(os.path.realpath(path))
        while way != "/":
            if not os.stat(way).st_mode & stat.S_IXOTH:
                return way
            way = os.path.dirname(way)
    return None


def explain_refusals() -> None:
    """Lets the functions that start programs say why they cannot. The kernel refuses them in any case."""
    names = ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "execv", "execve")
    for name in names:
        if hasattr(os, name):
            setattr(os, name, refuse_program)
    for module, name in (("subprocess", "_fork_exec"), ("_posixsubprocess", "fork_exec")):
        with contextlib.suppress(ImportError):
            setattr(__import__(module), name, refuse_program)


def refuse_program(*_: Any, **__: Any) -> NoReturn:
    """Stands in for whatever starts a program."""
    raise PermissionError(errno.EPERM, NO_PROGRAMS)

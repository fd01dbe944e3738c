"""Forks of the zygote that have process numbers of their own, where the kernel lets us make those.

A worker is number 2 of its PID namespace. Number 1 is its guard, which does nothing but take in what loses its parent,
and end with the worker: then the kernel ends all that is left. Both are children of the zygote, which stays outside.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

import sluicegate_core as core

#: Whether something is in force, and how, or why not.
Protection = tuple[bool, str]

IN_FORCE: Protection = (True, "PID namespace")
WITHOUT_PROC: Protection = (True, "PID namespace, without a `/proc` of its own")

#: Two process numbers.
PIDS = struct.Struct("ii")


class Fork(NamedTuple):
    """A fork as its parent sees it, or, where `pid` is 0, as the child does."""

    pid: int
    #: Number 1 of the child's namespace.
    guard: int | None = None
    protection: Protection | None = None


class Forks:
    """Makes forks, and remembers in which way they can be had here."""

    def __init__(self) -> None:
        self._fork_apart = self._fork_as_root if os.geteuid() == 0 else self._fork_as_owner
        #: Why there are none that are apart, once that is known.
        self._refusal: str | None = None

    def fork(self, is_apart: bool) -> Fork:
        """A child of this process; if it is to be apart and cannot, it is a plain one and says why."""
        if not is_apart:
            return Fork(os.fork())
        reason = self._refusal
        if reason is None:
            try:
                return self._fork_apart()
            except OSError as error:
                reason = f"PID namespace: {error.strerror}"
                # Others, such as the limit on the number of namespaces, may be over for the next one.
                if isinstance(error, PermissionError):
                    self._refusal = reason
        return Fork(os.fork(), protection=(False, reason))

    def _fork_as_root(self) -> Fork:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            core.separate_processes(False)
            try:
                fork = fork_pair()
            except OSError:
                core.rejoin_processes(own)
                raise
            if fork.pid != 0:
                core.rejoin_processes(own)
            return fork
        finally:
            os.close(own)

    def _fork_as_owner(self) -> Fork:
        """The zygote itself could not come back: a process in between makes the namespace, and leaves both to us."""
        read, write = os.pipe()
        try:
            between = os.fork()
        except OSError:
            os.close(read)
            os.close(write)
            raise
        if between == 0:
            os.close(read)
            fork = self._fork_between(write)
            os.close(write)
            return fork
        os.close(write)
        with open(read, "rb") as pipe:
            told = pipe.read()
        os.waitpid(between, 0)
        if len(told) == PIDS.size:
            pid, guard = PIDS.unpack(told)
            return Fork(pid, guard, IN_FORCE)
        code = int.from_bytes(told, "little")
        raise OSError(code, os.strerror(code))

    def _fork_between(self, write: int) -> Fork:
        try:
            core.separate_processes(True)
            fork = fork_pair()
        except OSError as error:
            os.write(write, (error.errno or 1).to_bytes(2, "little"))
            os._exit(0)
        if fork.pid != 0:
            os.write(write, PIDS.pack(fork.pid, fork.guard or 0))
            os._exit(0)
        return fork


def fork_pair() -> Fork:
    """Forks guard and worker into the namespace that was made for the next children."""
    read, write = os.pipe()
    try:
        guard = core.fork_guard(read)
        pid = os.fork()
        if pid == 0:
            return Fork(0, protection=see_own_processes())
        os.write(write, b"w")
        return Fork(pid, guard, IN_FORCE)
    finally:
        os.close(read)
        os.close(write)


def see_own_processes() -> Protection:
    """Shows the worker its own processes in `/proc`; tells how far that could be done."""
    try:
        core.show_own_processes()
    except OSError:
        return WITHOUT_PROC
    return IN_FORCE

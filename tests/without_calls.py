"""Runs a program as on a kernel that lacks some system calls: `without_calls.py 444,445,446 program arguments…`."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
RETURN_ERROR, RETURN_ALLOW = 0x0005_0000, 0x7FFF_0000


class Program(ctypes.Structure):
    """The kernel's `sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def take_away(calls: list[int]) -> None:
    """Lets these calls fail from now on as if there were none of them."""
    steps = [(LOAD_NUMBER, 0, 0, 0)]
    for call in calls:
        steps += [(JUMP_IF_EQUAL, 0, 1, call), (RETURN, 0, 0, RETURN_ERROR | errno.ENOSYS)]
    steps.append((RETURN, 0, 0, RETURN_ALLOW))
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = Program(len(steps), ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


take_away([int(call) for call in sys.argv[1].split(",")])
os.execv(sys.argv[2], sys.argv[2:])

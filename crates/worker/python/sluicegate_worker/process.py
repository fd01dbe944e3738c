"""What a worker does to its own process: signals, forks, descriptors, and where its functions' code is kept."""

from __future__ import annotations

import os
import signal

#: What ends a process that does not handle them.
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def let_forks_go(sockets: tuple[int, ...]) -> None:
    """Makes every process that a function forks one of its own, without our `sockets`."""
    os.register_at_fork(
        before=hold_signals, after_in_parent=let_signals_in, after_in_child=lambda: become_stranger(sockets)
    )


def become_stranger(sockets: tuple[int, ...]) -> None:
    """Makes a process that a function has forked one of its own.

    It can be ended by signals as others can, and the gateway hears of the worker's end although it lives on.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for number in sockets:
        os.dup2(null, number, inheritable=False)
    os.close(null)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    let_signals_in()


def hold_signals() -> None:
    """Keeps signals waiting while a process is forked: one for the child must not meet our handlers, which do nothing."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)


def let_signals_in() -> None:
    """Ends what `hold_signals` began."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


def code_directory(directory: str) -> str:
    """Where the sources of functions are kept."""
    code = os.path.join(directory, "code")
    os.mkdir(code, 0o700)
    return code


def silence_stderr() -> None:
    """Lets descriptor 2 lead nowhere: a function that writes there past Python's streams is not to busy the gateway."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)

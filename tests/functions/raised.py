"""Everything that can be raised, by its name."""

import asyncio


class Mute(Exception):
    def __str__(self):
        raise ValueError("no words")


RAISED = {
    "Exception": Exception("x"),
    "BaseException": BaseException("x"),
    "SystemExit": SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "GeneratorExit": GeneratorExit(),
    "StopIteration": StopIteration(),
    "StopAsyncIteration": StopAsyncIteration(),
    "CancelledError": asyncio.CancelledError(),
    "MemoryError": MemoryError(),
    "RecursionError": RecursionError(),
    "Mute": Mute(),
    "ExceptionGroup": ExceptionGroup("x", [ValueError("y")]),
}


def maybe_raise(name):
    if name in RAISED:
        raise RAISED[name]



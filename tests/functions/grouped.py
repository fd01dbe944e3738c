"""Says which process it is in: the functions of a group are in one."""

import builtins
import uuid


class Pipe:
    def pipe(self, body):
        if not hasattr(builtins, "process_name"):
            builtins.process_name = uuid.uuid4().hex
        return builtins.process_name

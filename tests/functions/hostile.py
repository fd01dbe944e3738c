"""Does the worst that a message asks for."""

import asyncio
import os
import re


class Filter:
    async def inlet(self, body):
        deed = body["messages"][-1]["content"]
        if deed == "loop":
            while True:
                pass
        if deed == "wait":
            await asyncio.sleep(3600)
        if deed == "exit":
            os._exit(1)
        if deed == "hoard":
            hoard = []
            while True:
                hoard.append(bytes(range(256)) * 65536)
        if deed == "regex":
            # One call into C that holds the interpreter's lock.
            re.match(r"(a+)+$", "a" * 64 + "b")
        return body

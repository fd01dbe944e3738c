"""Writes where it should not, and closes what is not its own."""

import asyncio
import os
import sys


class Filter:
    async def inlet(self, body):
        deed = body["messages"][-1]["content"]
        if deed == "print":
            for _ in range(20_000):
                print("x" * 1023)
        if deed == "descriptors":
            for number in (1, 2):
                for _ in range(2_000):
                    os.write(number, b"y" * 65536)
        if deed == "stderr":
            for _ in range(20_000):
                sys.stderr.write("z" * 1023 + "\n")
        if deed == "close":
            os.closerange(0, 10)
            await asyncio.sleep(0)
        return body

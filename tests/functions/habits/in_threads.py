"""
title: Sends its slow work to threads
"""

import asyncio
import functools
import threading
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel


class Filter:
    class Valves(BaseModel):
        unit: str = "words"

    def __init__(self):
        self.valves = self.Valves()

    def count(self, text, where):
        print("counting", where, threading.current_thread() is threading.main_thread())
        return f"{len(text.split())} {self.valves.unit}"

    async def inlet(self, body):
        text = body["messages"][-1]["content"]
        loop = asyncio.get_running_loop()
        found = [await asyncio.to_thread(self.count, text, where="to_thread")]
        found.append(await loop.run_in_executor(None, self.count, text, "executor"))
        with ThreadPoolExecutor(max_workers=2) as pool:
            found.append(await loop.run_in_executor(pool, functools.partial(self.count, text, where="pool")))
        found.append(await self.own_thread(text))
        body["messages"][-1]["content"] = ", ".join(found)
        return body

    async def own_thread(self, text):
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def work():
            found = self.count(text, "thread")
            loop.call_soon_threadsafe(done.set_result, found)

        threading.Thread(target=work, daemon=True).start()
        return await done

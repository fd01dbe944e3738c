"""
title: Does much when it is made
"""

import asyncio
import sqlite3
from pathlib import Path


class Filter:
    def __init__(self):
        self.lines = len(Path(__file__).read_text().splitlines())
        Path("./data/beginning").mkdir(parents=True, exist_ok=True)
        with sqlite3.connect("./data/beginning/habit.db") as db:
            db.execute("create table if not exists starts (at)")
            db.execute("insert into starts values (datetime())")
            self.starts = db.execute("select count(*) from starts").fetchone()[0]
        self.lock = asyncio.Lock()
        self.loop = asyncio.get_event_loop()
        self.ready = asyncio.Event()
        self.task = asyncio.create_task(self.prepare())

    async def prepare(self):
        await asyncio.sleep(0)
        self.ready.set()

    async def inlet(self, body):
        async with self.lock:
            await self.ready.wait()
        same = self.loop is asyncio.get_running_loop()
        body["messages"][-1]["content"] += f" {self.lines > 20} {self.starts > 0} {same} {self.task.done()}"
        return body

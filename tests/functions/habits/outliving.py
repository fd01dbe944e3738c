"""
title: Goes on after the answer
"""

import asyncio
import socket

DOOR = 0
WITNESS = 0


def tell(text):
    with socket.create_connection(("127.0.0.1", WITNESS)) as connection:
        connection.sendall(text.encode())


class Filter:
    def __init__(self):
        self.tasks = set()

    async def inlet(self, body, __event_emitter__, __metadata__, __user__):
        task = asyncio.create_task(self.later(__event_emitter__, __metadata__, __user__))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return body

    async def later(self, emit, metadata, user):
        reader, writer = await asyncio.open_connection("127.0.0.1", DOOR)
        writer.write(b"task\n")
        await reader.read()
        writer.close()
        await emit({"type": "status", "data": {"description": "saved", "done": True}})
        print("saved for", user["name"])
        await asyncio.to_thread(tell, f"task ended, {metadata['user_id'][:4]}")

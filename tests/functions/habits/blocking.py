"""
title: Blocks although it is async
"""

import socket

DOOR = 0


class Filter:
    async def inlet(self, body):
        if "wait" in body["messages"][-1]["content"]:
            with socket.create_connection(("127.0.0.1", DOOR)) as door:
                door.sendall(b"inlet\n")
                door.recv(1)
        body["messages"][-1]["content"] += " blocked"
        return body

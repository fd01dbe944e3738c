"""Sync code that holds its thread for longer than anyone waits; it tells when it begins."""

import socket
import time

WITNESS = 0


def tell(text):
    with socket.create_connection(("127.0.0.1", WITNESS)) as connection:
        connection.sendall(text.encode())


def last(body):
    # Slow enough to run on a thread from the second call on.
    time.sleep(0.01)
    if body["messages"][-1]["content"] == "for ever":
        tell("it lasts")
        time.sleep(3600)

"""
title: Greeter
description: A pipe written for the Pipelines server.
"""

from pydantic import BaseModel


class Pipeline:
    class Valves(BaseModel):
        greeting: str = "Good morning"

    def __init__(self):
        self.name = "Greeter"
        self.valves = self.Valves()

    async def on_startup(self):
        self.started = "started"

    async def on_shutdown(self):
        pass

    def pipe(self, user_message, model_id, messages, body):
        yield f"{self.valves.greeting}, "
        yield f"{len(messages)} message, {self.started}: {user_message}"

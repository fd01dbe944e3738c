"""
title: Fetches its vocabulary when it is first used
"""

import requests
from pydantic import BaseModel


class Filter:
    class Valves(BaseModel):
        source: str = ""

    def __init__(self):
        self.valves = self.Valves()
        self.words = None

    def vocabulary(self):
        if self.words is None:
            answer = requests.get(self.valves.source, timeout=20)
            answer.raise_for_status()
            self.words = answer.json()
        return self.words

    def inlet(self, body):
        body["messages"][-1]["content"] += f" {len(self.vocabulary()['data'])}"
        return body

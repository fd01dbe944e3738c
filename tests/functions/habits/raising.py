"""
title: Raises wherever it is told to
"""


class Refused(Exception):
    pass


class Filter:
    def inlet(self, body):
        text = body["messages"][-1]["content"]
        if text == "refuse":
            raise Refused("Not before lunch.")
        if text == "stumble":
            body["no such member"]
        return body

    async def outlet(self, body):
        if body["messages"][-2]["content"] == "late":
            raise ValueError("too late to refuse")
        return body

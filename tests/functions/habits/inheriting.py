"""
title: Inherits its handlers, in a text with letters that come in two halves
"""


class Helper:
    def __init__(self):
        self.mark = "\ud83d\ude00 lone \ud83d"

    async def inlet(self, body: "UnknownType", *args, **kwargs) -> "AlsoUnknown":
        body["messages"][-1]["content"] += f" {self.mark} {len(args)} {kwargs['__user__']['name']}"
        return body


class Filter(Helper):
    pass

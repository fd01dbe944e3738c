"""
title: Leaves notes in the metadata
"""


class Filter:
    class Valves:
        priority = -1

    def inlet(self, body, __metadata__):
        __metadata__["note"] = {"by": "noting", "words": len(body["messages"][-1]["content"].split())}
        body["metadata"]["second"] = ["two"]
        __metadata__["not_json"] = {1, 2, 3}
        return body

    def outlet(self, body, __metadata__):
        same = __metadata__["not_json"] == {1, 2, 3}
        body["messages"][-1]["content"] += f" outlet:{__metadata__['note']['words']},{same},{__metadata__['read']}"
        return body

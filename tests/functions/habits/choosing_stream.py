"""
title: Decides for the client whether the answer is streamed
"""


class Filter:
    def inlet(self, body):
        body["stream"] = "stream" in body["messages"][-1]["content"]
        body.pop("metadata", None)
        return body

"""
title: Stream of the load runs
description: Changes one field of every event.
"""


class Filter:
    def stream(self, event):
        for choice in event.get("choices", []):
            choice["delta"]["content"] = choice["delta"].get("content", "").upper()
        return event

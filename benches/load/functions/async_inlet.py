"""
title: Asynchronous inlet of the load runs
description: Changes one field of every request.
"""


class Filter:
    async def inlet(self, body):
        body["temperature"] = 0.5
        return body

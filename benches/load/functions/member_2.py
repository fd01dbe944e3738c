"""
title: Member 2 of the group of the load runs
description: Changes one field of every request.
"""


class Filter:
    def inlet(self, body):
        body["temperature"] = 0.2
        return body

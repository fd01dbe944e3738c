"""Raises by accident."""


class Filter:
    def inlet(self, body):
        return body["no such key"]

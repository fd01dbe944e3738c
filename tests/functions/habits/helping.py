"""
title: Helps its siblings
"""


def shout(text):
    return text.upper() + "!"


class Filter:
    calls = 0

    def inlet(self, body):
        Filter.calls += 1
        return body

"""
title: Has no handler at all
icon_url: data:image/svg+xml;base64,AA==
Note: a switch for others to look at
https: //example.test/unexpected
"""


class Filter:
    def __init__(self):
        self.toggle = True
        self.icon = "data:image/svg+xml;base64,AA=="

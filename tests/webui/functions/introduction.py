"""
title: Introduction
description: Says for whom it was called.
"""


class Pipe:
    def pipe(self, body, __user__):
        yield "You are "
        yield f"{__user__['name']}, {__user__['email']}, {__user__['role']}."

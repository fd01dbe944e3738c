"""
title: Asks its sibling
"""

import sys


class Filter:
    def inlet(self, body):
        helper = sys.modules.get("function_helping")
        text = body["messages"][-1]["content"]
        if helper is None:
            text += " alone"
        else:
            text = f"{helper.shout(text)} {helper.Filter.calls}"
        body["messages"][-1]["content"] = text
        return body

"""
title: Prints what passes by
"""

import sys
from pprint import pprint


class Filter:
    def inlet(self, body, __user__=None):
        print(f"inlet:{__name__}")
        print("inlet:user", __user__["name"])
        pprint({"keys": sorted(key for key in body if key != "metadata")})
        print("careful", file=sys.stderr)
        sys.stdout.write("no line end, ")
        sys.stdout.flush()
        print("then one")
        return body

    async def outlet(self, body):
        print(f"outlet:{body['messages'][-1]['content']}", end="")
        return body

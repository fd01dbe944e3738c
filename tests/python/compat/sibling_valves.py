"""
title: Valves of another function
"""

from open_webui.models.functions import Functions


class Pipe:
    def pipe(self, body):
        valves = Functions.get_function_valves_by_id("other") or {}
        return f"{valves['key']} {Functions.get_function_by_id('other').content}"

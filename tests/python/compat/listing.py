"""
title: Listing
"""

from open_webui.utils.models import get_all_models


class Pipe:
    async def pipes(self):
        return [{"id": f"wrapped-{model['id']}", "name": model["name"]} for model in await get_all_models()]

    async def pipe(self, body):
        return "none"

"""
title: Tools of the preset
"""

from open_webui.models.models import Models
from open_webui.models.tools import Tools


class Filter:
    async def inlet(self, body, __model__):
        model = await Models.get_model_by_id(__model__["id"])
        known = {tool.id for tool in await Tools.get_tools()}
        wanted = (model.meta.model_dump() if model and model.meta else {}).get("toolIds", [])
        body["tool_ids"] = [tool for tool in wanted if tool in known]
        return body

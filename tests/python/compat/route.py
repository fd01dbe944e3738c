"""
title: Route
"""

from open_webui.functions import Function


class Filter(Function):
    async def inlet(self, body, __request__):
        models = __request__.app.state.MODELS
        presets = [id for id, model in models.items() if (model.get("info") or {}).get("base_model_id")]
        body["model"] = presets[0]
        return body

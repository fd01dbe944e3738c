"""
title: Searching
"""

from open_webui.retrieval.vector.factory import VECTOR_DB_CLIENT
from open_webui.routers.retrieval import SearchForm, process_web_search


class Pipe:
    async def pipe(self, body, __request__, __user__):
        result = await process_web_search(__request__, SearchForm(queries=["tea"]), user=__user__)
        names = result["collection_names"] if result else []
        hits = VECTOR_DB_CLIENT.search(collection_name="memory", vectors=[[0.1]], limit=3)
        return ", ".join([*names, *(hit for hit in hits)]) or "nothing found"

"""
title: Reads notes in the metadata
"""


class Filter:
    async def inlet(self, body, __metadata__):
        assert body["metadata"] is __metadata__
        note = __metadata__["note"]
        body["messages"][-1]["content"] += f" inlet:{note['by']},{note['words']},{body['metadata']['second']}"
        __metadata__["read"] = True
        return body

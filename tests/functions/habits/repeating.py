"""
title: Says what it was asked and what the metadata holds
"""


class Pipe:
    async def pipe(self, body, __metadata__):
        return f"{body['messages'][-1]['content']} pipe:{__metadata__['read']},{'metadata' in body}"

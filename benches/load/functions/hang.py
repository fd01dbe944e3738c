"""
title: Hang of the load runs
description: Never comes back.
"""

import asyncio


class Filter:
    async def inlet(self, body):
        await asyncio.Event().wait()

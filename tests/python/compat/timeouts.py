"""
title: Timeouts
"""

import aiohttp
from open_webui.env import AIOHTTP_CLIENT_TIMEOUT, VERSION


class Pipe:
    def __init__(self):
        self.timeout = aiohttp.ClientTimeout(total=AIOHTTP_CLIENT_TIMEOUT)

    async def pipe(self, body):
        return f"{self.timeout.total} {VERSION}"

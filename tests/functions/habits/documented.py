"""
title: Its own text
version: 1.2.3
"""

import re


class Filter:
    manual = __doc__
    version = re.search(r"version: (\S+)", __doc__).group(1)

    def inlet(self, body):
        body["messages"][-1]["content"] += f" {self.version} {len(self.manual.splitlines())}"
        return body

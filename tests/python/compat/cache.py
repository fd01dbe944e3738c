"""
title: Cache
"""

import os

from open_webui.config import CACHE_DIR, UPLOAD_DIR

FOLDER = os.path.join(CACHE_DIR, "functions", "cache")
os.makedirs(FOLDER, exist_ok=True)


class Filter:
    def inlet(self, body):
        path = os.path.join(FOLDER, "seen")
        before = os.path.exists(path)
        with open(path, "w") as file:
            file.write("seen")
        body["cached"] = [before, os.path.exists(path) and UPLOAD_DIR.is_dir()]
        return body

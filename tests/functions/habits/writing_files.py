"""
title: Writes files
"""

import json
import os
import tempfile
from pathlib import Path

DATA = "/app/backend/data"


class Filter:
    def __init__(self):
        os.makedirs("./data/habit", exist_ok=True)
        Path(DATA).mkdir(parents=True, exist_ok=True)

    def inlet(self, body):
        relative = Path("./data/habit/seen.json")
        seen = json.loads(relative.read_text()) if relative.exists() else []
        seen.append(body["messages"][-1]["content"])
        relative.write_text(json.dumps(seen))
        with open(os.path.join(DATA, "log.txt"), "a", encoding="utf-8") as log:
            log.write("línea\n")
        with tempfile.NamedTemporaryFile("w+", suffix=".txt") as scratch:
            scratch.write("scratch")
            scratch.flush()
            assert Path(scratch.name).read_text() == "scratch"
        body["messages"][-1]["content"] = str(len(seen))
        return body

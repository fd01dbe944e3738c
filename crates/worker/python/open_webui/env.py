"""Settings functions read from the product's environment."""

import os
from collections import defaultdict

#: The version of Open WebUI whose behaviour this package follows.
VERSION = "0.12.4"

GLOBAL_LOG_LEVEL = os.environ.get("GLOBAL_LOG_LEVEL", "INFO").upper()

#: Log levels by part of the product; every part has the same.
SRC_LOG_LEVELS: defaultdict[str, str] = defaultdict(lambda: GLOBAL_LOG_LEVEL)
for _source in ("MAIN", "MODELS", "OLLAMA", "OPENAI", "RAG", "CONFIG", "DB", "AUDIO", "IMAGES", "WEBHOOK", "SOCKET"):
    SRC_LOG_LEVELS[_source] = GLOBAL_LOG_LEVEL

_timeout = os.environ.get("AIOHTTP_CLIENT_TIMEOUT", "")

#: Seconds a function's own HTTP calls may take; `None` is no limit.
AIOHTTP_CLIENT_TIMEOUT: int | None = int(_timeout) if _timeout.isdigit() else None

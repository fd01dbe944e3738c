"""Settings functions read from the product's environment."""

import logging
import os
from collections import defaultdict
from typing import Any

from sluicegate_worker.compat.files import FOLDERS
from sluicegate_worker.compat.finder import missing

#: The version of Open WebUI whose behaviour this package follows.
VERSION = "0.12.4"

ENV = "prod"
WEBUI_NAME = "Open WebUI"
WEBUI_AUTH = True
WEBUI_BUILD_HASH = "sluicegate"

#: There is no database to open: an empty one in memory.
DATABASE_URL = "sqlite://"
REDIS_URL = ""

GLOBAL_LOG_LEVEL = os.environ.get("GLOBAL_LOG_LEVEL", "INFO").upper()

#: Log levels by part of the product; every part has the same.
SRC_LOG_LEVELS: defaultdict[str, str] = defaultdict(lambda: GLOBAL_LOG_LEVEL)
for _source in ("MAIN", "MODELS", "OLLAMA", "OPENAI", "RAG", "CONFIG", "DB", "AUDIO", "IMAGES", "WEBHOOK", "SOCKET"):
    SRC_LOG_LEVELS[_source] = GLOBAL_LOG_LEVEL

log = logging.getLogger("open_webui.env")


def _seconds(name: str, default: int | None) -> int | None:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else default


#: Seconds a function's own HTTP calls may take; `None` is no limit.
AIOHTTP_CLIENT_TIMEOUT = _seconds("AIOHTTP_CLIENT_TIMEOUT", None)
AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST = _seconds("AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST", 10)
AIOHTTP_CLIENT_TIMEOUT_TOOL_SERVER_DATA = _seconds("AIOHTTP_CLIENT_TIMEOUT_TOOL_SERVER_DATA", 10)
AIOHTTP_CLIENT_SESSION_SSL = True

FORWARD_SESSION_INFO_HEADER_CHAT_ID = "X-OpenWebUI-Chat-Id"
FORWARD_SESSION_INFO_HEADER_MESSAGE_ID = "X-OpenWebUI-Message-Id"

BYPASS_MODEL_ACCESS_CONTROL = False
ENABLE_FORWARD_USER_INFO_HEADERS = False


def __getattr__(name: str) -> Any:
    return FOLDERS[name]() if name in FOLDERS else missing(__name__, name)

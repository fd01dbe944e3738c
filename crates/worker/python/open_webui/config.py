"""Settings functions read from the product's configuration. Folders are this process's own and end with it."""

from __future__ import annotations

import os
from typing import Any, Generic, TypeVar

from sluicegate_worker.compat.files import FOLDERS
from sluicegate_worker.compat.finder import missing

Value = TypeVar("Value")


class PersistentConfig(Generic[Value]):
    """A setting under `value`."""

    def __init__(self, env_name: str, config_path: str, env_value: Value) -> None:
        self.env_name = env_name
        self.config_path = config_path
        self.env_value = env_value
        self.value = env_value

    def __str__(self) -> str:
        """The value as text."""
        return str(self.value)

    def save(self) -> None:
        """Keeps the value for as long as this process lives."""

    def update(self) -> None:
        """Keeps the value."""


class AppConfig:
    """Settings by name."""


def get_config() -> dict[str, Any]:
    """No settings: those of the gateway are its own."""
    return {}


def get_config_value(config_path: str) -> Any:
    """No setting."""
    return None


WEBUI_URL = PersistentConfig("WEBUI_URL", "webui.url", os.environ.get("WEBUI_URL", ""))
WEBUI_NAME = "Open WebUI"


def __getattr__(name: str) -> Any:
    return FOLDERS[name]() if name in FOLDERS else missing(__name__, name)

"""The gateway's models as lists."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.facade import GATEWAY, Question
from sluicegate_worker.compat.finder import missing


async def get_all_models(*_: Any, **__: Any) -> list[dict[str, Any]]:
    """The models the caller may use, as `/api/models` lists them."""
    return list(await GATEWAY.ask(Question("models.list", {})) or [])


async def get_all_base_models(*_: Any, **__: Any) -> list[dict[str, Any]]:
    """Those that are no presets."""
    return [model for model in await get_all_models() if not (model.get("info") or {}).get("base_model_id")]


async def get_filtered_models(models: list[dict[str, Any]], user: Any = None, **_: Any) -> list[dict[str, Any]]:
    """The models as they are: the gateway lists what the caller may use."""
    return models


async def check_model_access(user: Any, model: Any, **_: Any) -> None:
    """Nothing: the gateway checks who may use a model when it is used."""


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

"""Filters of Pipelines servers, which the gateway runs itself."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.finder import missing


async def process_pipeline_inlet_filter(request: Any, payload: Any, user: Any = None, models: Any = None) -> Any:
    """The request as it is: those filters run in the gateway."""
    return payload


async def process_pipeline_outlet_filter(request: Any, payload: Any, user: Any = None, models: Any = None) -> Any:
    """The chat as it is: those filters run in the gateway."""
    return payload


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

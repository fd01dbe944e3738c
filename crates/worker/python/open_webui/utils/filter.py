"""Filters, which the gateway runs itself on every completion that is asked of it."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing


@asks
def get_sorted_filter_ids(*_: Any, **__: Any) -> Steps:
    """None that a function would have to run."""
    return []
    yield


async def process_filter_functions(
    request: Any, filter_functions: Any, filter_type: str, form_data: Any, extra_params: Any = None, **_: Any
) -> tuple[Any, dict[str, Any]]:
    """The body as it is, and no flags."""
    return form_data, {}


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

"""Events to the browser, which go the way of `__event_emitter__`."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.facade import Steps, asks, current_request
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.events import event_call

#: Nobody is connected by a socket.
SESSION_POOL: dict[str, Any] = {}
USER_POOL: dict[str, Any] = {}
USAGE_POOL: dict[str, Any] = {}


async def _nowhere(event: Any) -> None:
    """Takes an event outside any request."""


@asks
def get_event_emitter(request_info: Any = None, update_db: bool = True, *_: Any, **__: Any) -> Steps:
    """The emitter of the request that is being handled, whatever the arguments say."""
    request = current_request()
    return _nowhere if request is None else request.emitter
    yield


@asks
def get_event_call(request_info: Any = None, *_: Any, **__: Any) -> Steps:
    """The question to the browser of the request that is being handled."""
    request = current_request()
    return _nowhere if request is None else event_call()
    yield


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

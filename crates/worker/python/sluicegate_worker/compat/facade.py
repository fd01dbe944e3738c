"""Questions to the gateway in the form in which functions ask them: plain calls or coroutines.

A method that asks is written once, as a generator: it yields a `Question` and is sent the answer. `asks` makes of it
what the caller expects.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from sluicegate_worker.callbacks import Callbacks, Refusal
from sluicegate_worker.compat.callsites import caller_awaits
from sluicegate_worker.scope import CURRENT

if TYPE_CHECKING:
    from sluicegate_worker.context import RequestContext

LOG = logging.getLogger("open_webui")

#: Last words of the methods that only look.
LOOKUPS = {"get", "list", "valves", "user_valves"}


class Question(NamedTuple):
    """A method of the gateway, and what it is given."""

    method: str
    arguments: dict[str, Any]


#: Yields questions, is sent their answers, returns the result.
Steps = Generator[Question, Any, Any]


class Gateway:
    """This process's way to the gateway, and where its files are."""

    def __init__(self) -> None:
        self.callbacks: Callbacks | None = None
        self.directory = ""

    def connect(self, callbacks: Callbacks, directory: str) -> None:
        """Makes questions possible, once the process is a worker."""
        self.callbacks = callbacks
        self.directory = directory

    def ask_sync(self, question: Question) -> Any:
        """The answer, for which the thread stands still."""
        request = request_id()
        try:
            return self._connected().ask_sync(request, *question)
        except Refusal as refusal:
            return nothing_found(request, question, refusal)

    async def ask(self, question: Question) -> Any:
        """The answer, which is awaited."""
        request = request_id()
        try:
            return await self._connected().ask(request, *question)
        except Refusal as refusal:
            return nothing_found(request, question, refusal)

    def _connected(self) -> Callbacks:
        if self.callbacks is None:
            raise RuntimeError("there is no gateway to ask: this process is no worker")
        return self.callbacks


GATEWAY = Gateway()


def asks(steps: Callable[..., Steps]) -> Callable[..., Any]:
    """A method that answers plainly, or by a coroutine where its caller awaits it."""

    @wraps(steps)
    def method(*args: Any, **kwargs: Any) -> Any:
        if caller_awaits():
            return run(steps(*args, **kwargs))
        return run_sync(steps(*args, **kwargs))

    return method


def run_sync(steps: Steps) -> Any:
    """The result of the steps, for which the thread stands still."""
    try:
        question = next(steps)
        while True:
            try:
                answer = GATEWAY.ask_sync(question)
            except Exception as error:
                question = steps.throw(error)
            else:
                question = steps.send(answer)
    except StopIteration as end:
        return end.value


async def run(steps: Steps) -> Any:
    """The result of the steps, which is awaited."""
    try:
        question = next(steps)
        while True:
            try:
                answer = await GATEWAY.ask(question)
            except Exception as error:
                question = steps.throw(error)
            else:
                question = steps.send(answer)
    except StopIteration as end:
        return end.value


def nothing_found(request: int | None, question: Question, refusal: Refusal) -> None:
    """Lets a lookup outside any request find nothing: functions look around while they are loaded."""
    if request is not None or question.method.rpartition(".")[2] not in LOOKUPS:
        raise refusal
    LOG.warning("`%s` found nothing, as no request is being handled: %s", question.method, refusal)


def current_request() -> RequestContext | None:
    """The request for which the running code works, if it is one's."""
    scope = CURRENT.get()
    return None if scope is None else scope.request


def request_id() -> int | None:
    """The number the gateway knows that request by; none while a function is loaded or lists its models."""
    request = current_request()
    return None if request is None else request.id

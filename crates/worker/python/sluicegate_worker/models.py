"""Questions about a function rather than calls in a request: a manifold's models, its valves' schema and check."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import sluicegate_core as core

from sluicegate_worker import valves
from sluicegate_worker.calls import prepare
from sluicegate_worker.context import Call
from sluicegate_worker.failures import Unknown
from sluicegate_worker.lane import SyncSteps


async def list_models(call: Call) -> dict[str, Any]:
    """The models of a manifold, under their full names."""
    prepare(call)
    instance = call.slot.instance
    pipes = getattr(instance, "pipes", None)
    if callable(pipes):
        # Many a manifold asks the network for its models, without awaiting.
        pipes = await SyncSteps(call.slot.lane).run(pipes)
        if inspect.isawaitable(pipes):
            pipes = await pipes
    prefix = getattr(instance, "name", "")
    return {"models": entries(pipes or [], prefix if isinstance(prefix, str) else "")}


def entries(pipes: Any, prefix: str) -> list[dict[str, str]]:
    """The entries up to the first that lacks an id or a name, which ends the list in the real product too."""
    listed: list[dict[str, str]] = []
    for pipe in pipes:
        if not isinstance(pipe, dict) or "id" not in pipe or "name" not in pipe:
            print("`pipes` holds an entry without `id` or `name`: it and those after it are left out")
            break
        listed.append({"id": str(pipe["id"]), "name": f"{prefix}{pipe['name']}"})
    return listed


async def check_valves(call: Call) -> dict[str, Any]:
    """The answer to a check."""
    return checked_valves(call)


def checked_valves(call: Call) -> dict[str, Any]:
    """The values to store, and the function's place in the order under them."""
    model = valves_class(call)
    own = {} if call.payload.get("user") else call.slot.function.own_values
    stored = valves.check(model, call.payload.get("values") or {}, own)
    return {"stored": stored, "priority": call.slot.function.priority(stored)}


async def valves_spec(call: Call) -> dict[str, Any]:
    """The schema of the valves, with options resolved."""
    model = valves_class(call)
    run = SyncSteps(call.slot.lane).run
    return {"spec": await valves.spec(model, call.payload.get("user_entry"), run)}


def valves_class(call: Call) -> type:
    """The class the question is about."""
    function = call.slot.function
    is_user = bool(call.payload.get("user"))
    model = function.user_valves_model if is_user else function.valves_model
    if model is None:
        name = "UserValves" if is_user else "Valves"
        raise Unknown(f"function {function.id} has no `{name}`")
    return model


QUESTIONS: dict[int, Callable[[Call], Awaitable[dict[str, Any]]]] = {
    core.PIPES: list_models,
    core.CHECK_VALVES: check_valves,
    core.VALVES_SPEC: valves_spec,
}

"""A loaded function as the worker holds it: its code, its valves, and the thread its sync code runs on."""

from __future__ import annotations

from typing import Any

from sluicegate_worker import pipelines, valves
from sluicegate_worker.calls import Plan
from sluicegate_worker.lane import Lane
from sluicegate_worker.loader import Function
from sluicegate_worker.valves import ValvesStore


class Slot:
    """One loaded version of a function."""

    def __init__(self, id: int, function: Function, threads: int) -> None:
        self.id = id
        self.function = function
        self.function_id: str = function.id
        self.instance = function.instance
        self.store = self._make_store()
        self.user_model = self._make_user_model()
        has_valves = self.store is not None
        given_as = "tool" if function.kind == "tools" else None
        self.plans = {name: Plan(name, handler, has_valves, given_as) for name, handler in function.handlers.items()}
        self.lane = self._make_lane(threads)
        #: Set for a `Pipeline`, by whoever loads it.
        self.life: pipelines.Lifecycle | None = None

    def learnt(self) -> dict[str, Any]:
        """What the gateway keeps of the function, so that it need not be loaded to be known."""
        learnt = self.function.learnt()
        learnt["handlers"] = {name: plan.described() for name, plan in self.plans.items()}
        for plan in self.plans.values() if self.function.kind != "tools" else ():
            learnt["warnings"] += plan.warnings(type(self.function.owner).__name__)
        return learnt

    def unload(self) -> None:
        """Leaves nothing of the function behind that others could find."""
        if self.store is not None:
            self.store.detach()
        self.lane.close()
        self.function.unregister()

    def _make_lane(self, threads: int) -> Lane:
        if self.function.pipeline is not None and self.function.kind == "pipe":
            # Written for threads: it may wait, run loops of its own, and is called by several at a time.
            return Lane(max(threads, pipelines.THREADS), movable=True, runs_loops=self.function.runs_loops)
        return Lane(threads, movable=not self.function.needs_loop, runs_loops=self.function.runs_loops)

    def _make_store(self) -> ValvesStore | None:
        model = self.function.valves_model
        if model is None:
            return None
        drop_none = self.function.kind == "pipe" and self.function.pipeline is None
        store = ValvesStore(self.function.owner, model, drop_none, self.function.own_values)
        if not store.attach():
            self.function.warnings.append("`valves` is assigned at each call: overlapping calls share it")
        return store

    def _make_user_model(self) -> type | None:
        model = self.function.user_valves_model
        if model is None:
            return None
        try:
            return valves.with_dict_manners(model)
        except Exception as error:
            self.function.warnings.append(f"`UserValves` has no dictionary manners: {error}")
            return model

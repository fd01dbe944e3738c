"""The gateway's models, to look at: those configured by a row of their own, presets among them."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import Table
from sluicegate_worker.compat.facade import Question, Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class ModelParams(Record):
    """A model's parameters."""


class ModelMeta(Record):
    """What is shown of a model, and what is attached to it."""

    profile_image_url: Any = "/static/favicon.png"
    description: Any = None
    capabilities: Any = None


class ModelModel(Record):
    """A model's row."""

    id: Any = ""
    user_id: Any = ""
    base_model_id: Any = None
    name: Any = ""
    params: Any = None
    meta: Any = None
    access_control: Any = None
    access_grants: Any = None
    is_active: Any = True
    created_at: Any = 0
    updated_at: Any = 0


Model = ModelResponse = ModelUserResponse = ModelModel


class ModelForm(Record):
    """What a new model's row is made of."""

    id: Any = ""
    base_model_id: Any = None
    name: Any = ""
    meta: Any = None
    params: Any = None
    access_control: Any = None
    is_active: Any = True


class ModelsTable(Table):
    """Looks models up."""

    @asks
    def get_model_by_id(self, id: str, *_: Any, **__: Any) -> Steps:
        """The row of a model; `None` for one that has none."""
        return row((yield Question("models.get", {"id": id})))

    @asks
    def get_models_by_ids(self, ids: list[str], *_: Any, **__: Any) -> Steps:
        """The rows of these models."""
        return [model for model in (yield from self._list()) if model.id in ids]

    @asks
    def get_all_models(self, *_: Any, **__: Any) -> Steps:
        """All rows."""
        return (yield from self._list())

    @asks
    def get_models(self, *_: Any, **__: Any) -> Steps:
        """The rows of presets, which have a base model."""
        return [model for model in (yield from self._list()) if model.base_model_id is not None]

    get_models_by_user_id = get_models

    @asks
    def get_base_models(self, *_: Any, **__: Any) -> Steps:
        """The rows of models that are no presets."""
        return [model for model in (yield from self._list()) if model.base_model_id is None]

    def _list(self) -> Steps:
        entries = (yield Question("models.list", {})) or []
        rows = [entry.get("info") for entry in entries if isinstance(entry, dict)]
        return [row(found) for found in rows if isinstance(found, dict) and "id" in found]


def row(found: Any) -> ModelModel | None:
    """The gateway's answer as a record."""
    if not isinstance(found, dict):
        return None
    parts = {"params": ModelParams(**(found.get("params") or {})), "meta": ModelMeta(**(found.get("meta") or {}))}
    return ModelModel(**{**found, **parts})


Models = ModelsTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

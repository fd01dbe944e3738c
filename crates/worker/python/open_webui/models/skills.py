"""Skills that the gateway stores."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import SimpleTable
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class SkillMeta(Record):
    """What is shown of a skill."""

    tags: Any = []


class SkillModel(Record):
    """A skill."""

    id: Any = ""
    user_id: Any = ""
    name: Any = ""
    description: Any = None
    content: Any = ""
    meta: Any = None
    is_active: Any = True
    access_grants: Any = None
    created_at: Any = 0
    updated_at: Any = 0


class SkillForm(Record):
    """What a new skill is made of."""

    id: Any = None
    name: Any = ""
    description: Any = None
    content: Any = ""
    meta: Any = None
    is_active: Any = True


class SkillsTable(SimpleTable, one="skill", several="skills"):
    """Looks skills up and changes them."""

    kind = "skill"
    model = SkillModel


Skills = SkillsTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

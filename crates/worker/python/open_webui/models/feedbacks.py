"""Ratings of answers that the gateway stores."""

from __future__ import annotations

from typing import Any

from sluicegate_worker.compat.documents import SimpleTable
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class FeedbackModel(Record):
    """A rating."""

    id: Any = ""
    user_id: Any = ""
    version: Any = 0
    type: Any = "rating"
    data: Any = None
    meta: Any = None
    snapshot: Any = None
    created_at: Any = 0
    updated_at: Any = 0


class FeedbackForm(Record):
    """What a new rating is made of."""

    type: Any = "rating"
    data: Any = None
    meta: Any = None
    snapshot: Any = None


class FeedbackTable(SimpleTable, one="feedback", several="feedbacks"):
    """Looks feedbacks up and changes them."""

    kind = "feedback"
    model = FeedbackModel

    @asks
    def get_all_feedbacks(self, *_: Any, **__: Any) -> Steps:
        """All ratings."""
        return (yield from self._list())


Feedbacks = FeedbackTable()


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

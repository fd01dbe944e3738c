"""
title: Reads its user valves in every way that is in use
"""

from enum import Enum
from typing import List, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator


class Mood(str, Enum):
    CALM = "calm"
    LOUD = "loud"


class Base(BaseModel):
    model_config = ConfigDict(extra="ignore")
    priority: int = Field(default=0, description="Place in the chain.")


class Filter:
    class Valves(Base):
        mood: Mood = Mood.CALM
        words: List[str] = Field(default_factory=lambda: ["a"])
        limit: int = Field(default=None, description="None, although it is no Optional.")
        choice: Literal["x", "y"] = "x"

        @field_validator("words")
        @classmethod
        def not_empty(cls, words):
            if not words:
                raise ValueError("give at least one word")
            return words

    UserValves = create_model("UserValves", tone=(str, "plain"), bonus=(Optional[int], None))

    def __init__(self):
        self.valves = self.Valves()

    def inlet(self, body, __user__: Optional[dict] = None, user: Optional[dict] = None):
        if isinstance(__user__, tuple):
            __user__ = __user__[0]
        own = __user__["valves"]
        ways = [
            own.tone,
            own["tone"],
            own.get("tone"),
            own.get("missing", "plain"),
            dict(own)["tone"],
            self.UserValves(**own).tone,
            self.UserValves.model_validate(own).tone,
            own.model_dump()["tone"],
            __user__.get("valves").tone,
            getattr(own, "tone", None),
        ]
        assert type(__user__) is not tuple and isinstance(own, self.UserValves) and user is None
        shown = f"{sorted(set(ways))} {len(ways)} {self.valves.mood.value} {self.valves.words} {self.valves.limit}"
        body["messages"][-1]["content"] = shown
        return body

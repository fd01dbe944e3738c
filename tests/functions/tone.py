"""Speaks to each user in the tone that the user has set."""

from pydantic import BaseModel


class Filter:
    class UserValves(BaseModel):
        tone: str = "plain"

    def inlet(self, body, __user__):
        body["messages"][-1]["content"] += f" ({__user__['name']}, {__user__['valves'].tone})"
        return body

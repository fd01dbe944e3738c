"""Refuses answers that hold a certain word."""

from fastapi import HTTPException


class Filter:
    def outlet(self, body):
        if "secret" in body["messages"][-1]["content"]:
            raise HTTPException(status_code=403, detail="the answer is withheld")
        return body

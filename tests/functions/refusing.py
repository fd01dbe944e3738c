"""Refuses with a status of its own choice."""

from fastapi import HTTPException


class Filter:
    def inlet(self, body):
        raise HTTPException(status_code=451, detail="not for legal reasons")

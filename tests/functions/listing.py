"""A manifold whose list takes a while, and one of whose models fails."""

from fastapi import HTTPException


class Pipe:
    async def pipes(self):
        return [{"id": "kind", "name": "Kind"}, {"id": "cruel", "name": "Cruel"}]

    async def pipe(self, body):
        if body["model"].endswith("cruel"):
            raise HTTPException(status_code=418, detail="no")
        return "yes"

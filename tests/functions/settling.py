"""Keeps what is said in its own valves, by a plain call, and tells what was there before."""

from pydantic import BaseModel

from open_webui.models.functions import Functions


class Pipe:
    class Valves(BaseModel):
        number: int = 0

    def __init__(self):
        self.valves = self.Valves()

    def pipe(self, body):
        before = self.valves.number
        try:
            Functions.update_function_valves_by_id("settling", {"number": body["messages"][-1]["content"]})
        except Exception:
            pass
        return str(before)

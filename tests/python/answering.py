"""The gateway's answers to what functions ask it, from memory."""

from __future__ import annotations

from typing import Any

from driver import Frame, Handler, Kind, Worker

USERS = [
    {"id": "u1", "email": "a@example.test", "name": "Ann", "role": "user"},
    {"id": "u2", "email": "b@example.test", "name": "Bob", "role": "admin"},
]


class Gateway:
    """Documents, blobs and the rest, with a note of every question."""

    def __init__(self, **fixed: Any) -> None:
        #: Answers by method, before those from memory.
        self.fixed = fixed
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.blobs: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.clock = 100

    def methods(self) -> list[str]:
        """The methods asked so far."""
        return [method for method, _ in self.asked]

    def reply(self, question: dict[str, Any]) -> dict[str, Any]:
        """The payload that answers a question."""
        method, arguments = question["method"], question["arguments"]
        self.asked.append((method, arguments))
        if method in self.fixed:
            return {"result": self.fixed[method]}
        answer = getattr(self, method.replace(".", "_"), None)
        if answer is None:
            return {"error": {"type": "UnknownMethod", "message": f"no method {method}", "status": 501}}
        return {"result": answer(**arguments)}

    def users_get(self, id: str | None = None, email: str | None = None) -> Any:
        """One user."""
        return next((user for user in USERS if id == user["id"] or email == user["email"]), None)

    def users_list(self) -> Any:
        """All users."""
        return USERS

    def documents_get(self, kind: str, id: str) -> Any:
        """One document."""
        return self.documents.get((kind, id))

    def documents_list(self, kind: str, user_id: str | None = None) -> Any:
        """The documents of a kind."""
        found = (document for (its, _), document in self.documents.items() if its == kind)
        return [document for document in found if user_id in (None, document["user_id"])]

    def documents_put(self, kind: str, id: str, user_id: str, data: Any) -> Any:
        """Stores a document."""
        self.clock += 1
        created = self.documents.get((kind, id), {}).get("created_at", self.clock)
        times = {"created_at": created, "updated_at": self.clock}
        self.documents[kind, id] = {"id": id, "user_id": user_id, "data": data, **times}
        return self.documents[kind, id]

    def documents_delete(self, kind: str, id: str) -> bool:
        """Removes a document."""
        return self.documents.pop((kind, id), None) is not None

    def blobs_put(self, id: str, base64: str) -> bool:
        """Stores bytes."""
        self.blobs[id] = base64
        return True

    def blobs_get(self, id: str) -> Any:
        """Stored bytes."""
        return {"base64": self.blobs[id]} if id in self.blobs else None

    def blobs_delete(self, id: str) -> bool:
        """Removes bytes."""
        return self.blobs.pop(id, None) is not None


def finish(worker: Worker, gateway: Gateway, *kinds: Kind, id: int) -> Frame:
    """The frame that ends a step, after every question before it has been answered."""
    while True:
        frame = worker.wait(Kind.CALLBACK, *kinds)
        if frame.kind != Kind.CALLBACK:
            assert frame.id == id
            return frame
        worker.send(Kind.CALLBACK_REPLY, frame.id, gateway.reply(frame.json))


def inlet(worker: Worker, source: str, gateway: Gateway, body: dict[str, Any] | None = None, **opened: Any) -> Any:
    """The body that the inlet of a freshly loaded filter makes, or the failure."""
    slot = worker.next_id()
    worker.send(Kind.LOAD, slot, {"function_id": "under_test", "source": source, "threads": 1})
    loaded = finish(worker, gateway, Kind.READY, Kind.FAILED, id=slot)
    assert loaded.kind == Kind.READY, loaded.payload
    worker.valves(slot, 0, {})
    request = worker.open(slot, **opened)
    call = worker.start(Handler.INLET, request=request, body=body or {})
    frame = finish(worker, gateway, Kind.REPLY, Kind.ERROR, id=call)
    return frame.json["body"] if frame.kind == Kind.REPLY else frame.json

"""A model server that repeats the question or never ends, and notes what it was asked and who left.

    python3 tests/webui/model_server.py PORT NOTES

NOTES becomes a file of JSON lines: `asked` with the request, `answered`, `left`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Iterator

MODELS = ("parrot", "endless")
# So that a stream looks like one, and can be stopped.
PACE_SECONDS = 0.04
# What the tasks of Open WebUI ask for: the name in the task's text, and an answer that fits.
TASKS = {
    '"follow_ups"': {"follow_ups": ["A follow-up of the model server?"]},
    '"tags"': {"tags": ["Tag of the model server"]},
    '"title"': {"title": "Title of the model server"},
}


class Notes:
    """The file of notes, for all threads."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a", encoding="utf-8")
        self._lock = threading.Lock()

    def add(self, what: str, **facts: Any) -> None:
        with self._lock:
            self._file.write(json.dumps({"what": what, "at": time.time(), **facts}) + "\n")
            self._file.flush()


def question(body: dict[str, Any]) -> str:
    """The last message's text."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def words(body: dict[str, Any]) -> Iterator[str]:
    """What the model says, with the spaces."""
    text = question(body)
    for name, answer in TASKS.items():
        if text.lstrip().startswith("### Task:") and name in text:
            yield json.dumps(answer)
            return
    if body["model"] == "endless":
        yield from (f"word-{number} " for number in count())
    yield from (f"{word} " for word in f"you said: {text}".split())


class Handler(BaseHTTPRequestHandler):
    """OpenAI's API, as far as it is needed."""

    protocol_version = "HTTP/1.1"
    notes: Notes

    def do_GET(self) -> None:
        listed = [{"id": model, "object": "model", "owned_by": "test"} for model in MODELS]
        self._answer({"object": "list", "data": listed})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.notes.add("asked", path=self.path, body=body, headers=dict(self.headers))
        try:
            if body.get("stream"):
                self._stream(body)
            else:
                self._whole(body)
        except (BrokenPipeError, ConnectionResetError):
            self.notes.add("left", model=body["model"])
            self.close_connection = True
        else:
            self.notes.add("answered", model=body["model"])

    def _whole(self, body: dict[str, Any]) -> None:
        message = {"role": "assistant", "content": "".join(words(body)).strip()}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._answer(self._paper(body, "chat.completion", choice))

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for word in words(body):
            self._event(body, {"content": word}, None)
            time.sleep(PACE_SECONDS)
        self._event(body, {}, "stop")
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, body: dict[str, Any], delta: dict[str, str], finish: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        paper = self._paper(body, "chat.completion.chunk", choice)
        self._chunk(b"data: " + json.dumps(paper).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _paper(self, body: dict[str, Any], kind: str, choice: dict[str, Any]) -> dict[str, Any]:
        head = {"id": "chatcmpl-1", "object": kind, "created": 1, "model": body["model"]}
        return {**head, "choices": [choice]}

    def _answer(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """The notes are enough."""


def main() -> None:
    port, notes = sys.argv[1:]
    Handler.notes = Notes(notes)
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()

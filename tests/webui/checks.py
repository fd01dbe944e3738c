"""What the gateway and the model server must have noted while the browser went through its steps."""

from __future__ import annotations

from typing import Any, Callable

from parts import Parts

CHAT = "/v1/chat/completions"
TASKS = ("title", "follow_ups", "tags")
# From the questions of the steps.
PROMPTS = ("hello from the browser", "tell me all")
# The key's own user: nothing may be done in its name that a person asked for.
OWN_USER = "open-webui"


def check_logs(parts: Parts) -> int:
    """Prints what holds and what does not; gives how much does not."""
    access, notes = parts.access_lines(), parts.model_server_notes()
    log = parts.gateway_log.read_text()
    checks: dict[str, Callable[[], str]] = {
        "the gateway noted one client that left, at the stopped chat": lambda: one_client_left(access),
        "the model server was left at that chat, and no other": lambda: one_call_ended(notes),
        "the tasks of Open WebUI reached the model": lambda: tasks_reached(notes),
        "chats are logged under the two people": lambda: two_people(access),
        "nothing broke": lambda: nothing_broke(access, log),
        "no question is in the gateway's log": lambda: no_prompts(log),
    }
    failures = 0
    for name, check in checks.items():
        wrong = check()
        failures += bool(wrong)
        print(f"FAIL {name}\n     {wrong}" if wrong else f"ok   {name}", flush=True)
    return failures


def one_client_left(access: list[dict[str, Any]]) -> str:
    left = [(line["path"], line.get("model")) for line in access if line["status"] == 499]
    return "" if left == [(CHAT, "endless")] else f"left were {left}"


def one_call_ended(notes: list[dict[str, Any]]) -> str:
    left = [note["model"] for note in notes if note["what"] == "left"]
    asked = sum(note["what"] == "asked" for note in notes)
    ended = sum(note["what"] != "asked" for note in notes)
    if left != ["endless"]:
        return f"left were {left}"
    return "" if asked == ended else f"{asked - ended} calls go on"


def tasks_reached(notes: list[dict[str, Any]]) -> str:
    asked = [str(note["body"]["messages"]) for note in notes if note["what"] == "asked"]
    tasks = [text for text in asked if "### Task:" in text]
    missing = [task for task in TASKS if not any(f'"{task}"' in text for text in tasks)]
    return f"missing are {missing}" if missing else ""


def two_people(access: list[dict[str, Any]]) -> str:
    people = {line.get("user.id") for line in access if line["path"] == CHAT}
    return "" if len(people) == 2 and OWN_USER not in people else f"they are {people}"


def nothing_broke(access: list[dict[str, Any]], log: str) -> str:
    broke = [line for line in access if line["status"] >= 500]
    errors = [line for line in log.splitlines() if '"level":"ERROR"' in line or "panicked" in line]
    return f"{broke + errors}" if broke or errors else ""


def no_prompts(log: str) -> str:
    found = [prompt for prompt in PROMPTS if prompt in log.lower()]
    return f"found {found}" if found else ""

"""The programs of the suite: the mock server, the gateway in front of it, and pytest."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from .outcomes import Outcomes

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent.parent
KEY = "sk-of-the-openai-suite-0000000000000001"
START_SECONDS = 120
STOP_SECONDS = 15
SUITE_SECONDS = 1800

IDENTITY = """
class Filter:
    def inlet(self, body):
        return body

    def stream(self, event):
        return event

    def outlet(self, body):
        return body
"""

# Every route of OpenAI's API on which no filter runs, opened for the run.
OPENED = """
    chat/completions/ models completions responses files batches fine_tuning/ assistants threads vector_stores uploads
    containers conversations evals videos realtime chatkit skills content_provenance_checks organization projects
"""

CONFIG = """
listen = "127.0.0.1:{port}"
data_dir = "{data}"
passthrough_upstream = "mock"
unfiltered_routes = [{opened}]

[[upstreams]]
name = "mock"
kind = "openai"
base_url = "{mock}"
models = ["*"]

[[users]]
id = "suite"
role = "admin"
api_key = "{key}"
"""


class Failed(Exception):
    """A part that could not be had, and where to look."""


class Parts:
    """All that was started; ended in the opposite order."""

    def __init__(self, root: Path, options: argparse.Namespace) -> None:
        self._root, self._options = root, options
        self._running: list[subprocess.Popen[bytes]] = []
        self._gateway = f"http://127.0.0.1:{options.first_port + 1}"
        self.mock_url = f"http://127.0.0.1:{options.first_port}"
        self.gateway_url = f"{self._gateway}/v1"

    def start_mock(self, command: list[str]) -> None:
        """Starts the mock server, whose command lacks its port."""
        self._start([*command[:-1], "-p", str(self._options.first_port), command[-1]], "mock.log")
        self._wait_for(f"{self.mock_url}/_x-steady/health")

    def start_gateway(self, with_filter: bool) -> None:
        """Starts the gateway with nothing in its database, and with a filter that changes nothing if so wished."""
        data = self._root / "gateway"
        shutil.rmtree(data, ignore_errors=True)
        (data / "functions").mkdir(parents=True)
        if with_filter:
            (data / "functions" / "identity.py").write_text(IDENTITY)
        opened = ", ".join(f'"/v1/{route}"' for route in OPENED.split())
        port = self._options.first_port + 1
        config = self._root / "gateway.toml"
        config.write_text(CONFIG.format(port=port, data=data, opened=opened, mock=self.mock_url, key=KEY))
        program = self._options.gateway.resolve()
        if not program.exists():
            raise Failed(f"{program} is missing: run `cargo build` first")
        self._start([str(program), "serve", "--config", str(config)], "gateway.log")
        self._wait_for(f"{self._gateway}/readyz")

    def stop_gateway(self) -> None:
        """Ends the gateway, which was started last."""
        _end(self._running.pop())

    def filter_calls(self) -> int:
        """How often the filter was called."""
        lines = (_get(f"{self._gateway}/metrics") or "").splitlines()
        counts = [line for line in lines if line.startswith("sluicegate_function_calls_total")]
        return sum(int(line.rsplit(" ", 1)[1]) for line in counts)

    def run_suite(self, python: Path, name: str, url: str) -> Outcomes:
        """Runs the tests against a server."""
        checkout, report = self._options.checkout, self._root / f"{name}.xml"
        report.unlink(missing_ok=True)
        tests = [f"tests/api_resources/{test}" for test in self._options.tests or [""]]
        command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", "-p", "suite_key", "-n", "2", "-q"]
        command += [f"--junitxml={report}", *tests]
        environment = {
            **os.environ,
            "TEST_API_BASE_URL": url,
            "SUITE_KEY": KEY,
            "PYTHONPATH": f"{checkout / 'src'}:{HERE}",
            "PYTHONDONTWRITEBYTECODE": "1",
            # As the checkout's own `scripts/test` sets it.
            "DEFER_PYDANTIC_BUILD": "false",
        }
        log = self._root / f"{name}.log"
        with log.open("wb") as output:
            subprocess.run(command, cwd=checkout, env=environment, stdout=output, stderr=output, timeout=SUITE_SECONDS)
        if not report.exists():
            raise Failed(f"pytest gave no report; see {log}")
        return Outcomes(report)

    def stop(self) -> None:
        """Ends all that was started."""
        while self._running:
            _end(self._running.pop())

    def _start(self, command: list[str], log: str) -> None:
        with (self._root / log).open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self._running.append(process)

    def _wait_for(self, url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while _get(url) is None:
            if self._running[-1].poll() is not None or time.monotonic() > deadline:
                raise Failed(f"nothing answers on {url}; see the logs in {self._root}")
            time.sleep(0.2)


def _get(url: str) -> str | None:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return str(answer.read(), "utf-8")
    except (urllib.error.URLError, OSError):
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass

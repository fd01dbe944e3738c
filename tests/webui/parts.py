"""The programs of the test: the model server, the gateway, and Open WebUI in front of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
KEY = "sk-of-open-webui-in-the-test-0000000001"
START_SECONDS = 120
STOP_SECONDS = 15

GATEWAY_CONFIG = """
listen = "127.0.0.1:{gateway}"
data_dir = "{data}"
trusted_proxies = ["127.0.0.1"]

[log]
format = "json"

[functions]
dir = "{functions}"

[function.marker]
valves = {{ api_key = "of-the-operator" }}

[[upstreams]]
name = "test"
kind = "openai"
base_url = "http://127.0.0.1:{models}/v1"

[[upstreams]]
name = "demo"
kind = "embedded"

[[users]]
id = "open-webui"
name = "Open WebUI"
role = "admin"
api_key = "{key}"
"""


class NotStarted(Exception):
    """A part that did not start, and where to look."""


class Ports:
    """Three ports in a row that nobody has."""

    def __init__(self, first: int) -> None:
        self.gateway, self.models, self.webui = range(first, first + 3)
        for port in range(first, first + 3):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    raise NotStarted(f"port {port} is taken; choose with --first-port") from error


class Parts:
    """All that was started; ended in the opposite order."""

    def __init__(self, root: Path, ports: Ports) -> None:
        self.ports = ports
        self.notes = root / "model-server.jsonl"
        self.gateway_log = root / "gateway.log"
        self.webui_log = root / "open-webui.log"
        self._root = root
        self._running: list[subprocess.Popen[bytes]] = []
        for old in (self.notes, self.gateway_log, self.webui_log):
            old.unlink(missing_ok=True)

    def start_model_server(self) -> None:
        program = [sys.executable, str(HERE / "model_server.py"), str(self.ports.models), str(self.notes)]
        self._start(program, self._root / "model-server.log", dict(os.environ))
        self._wait_for(f"http://127.0.0.1:{self.ports.models}/v1/models")

    def start_gateway(self, program: Path) -> None:
        """Starts the gateway with nothing in its database, and the functions of this folder."""
        data, functions = self._root / "gateway", self._root / "gateway" / "functions"
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(HERE / "functions", functions)
        ports = self.ports
        text = GATEWAY_CONFIG.format(
            gateway=ports.gateway, models=ports.models, data=data, functions=functions, key=KEY
        )
        config = self._root / "gateway.toml"
        config.write_text(text)
        self._start([str(program), "serve", "--config", str(config)], self.gateway_log, dict(os.environ))
        self._wait_for(f"http://127.0.0.1:{ports.gateway}/readyz")
        self._wait_for_models({"parrot", "endless", "introduction"})

    def start_open_webui(self, program: Path) -> None:
        """Starts Open WebUI with nothing in its database, and the gateway as its only connection."""
        data = self._root / "open-webui"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(data),
            "DATA_DIR": str(data),
            "WEBUI_SECRET_KEY": "of-the-test",
            "OPENAI_API_BASE_URLS": f"http://127.0.0.1:{self.ports.gateway}/v1",
            "OPENAI_API_KEYS": KEY,
            "ENABLE_OLLAMA_API": "false",
            "ENABLE_FORWARD_USER_INFO_HEADERS": "true",
            "BYPASS_MODEL_ACCESS_CONTROL": "true",
            # Nothing is to be downloaded.
            "OFFLINE_MODE": "true",
            "HF_HUB_OFFLINE": "1",
            "RAG_EMBEDDING_ENGINE": "openai",
            "ENABLE_VERSION_UPDATE_CHECK": "false",
            "ANONYMIZED_TELEMETRY": "false",
            "DO_NOT_TRACK": "true",
            "SCARF_NO_ANALYTICS": "true",
        }
        command = [str(program), "serve", "--host", "127.0.0.1", "--port", str(self.ports.webui)]
        self._start(command, self.webui_log, environment)
        self._wait_for(f"http://127.0.0.1:{self.ports.webui}/health")

    def stop(self) -> None:
        """Ends all that was started, and what that started."""
        for process in reversed(self._running):
            _signal(process, signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            _signal(process, signal.SIGKILL)
            process.wait()

    def access_lines(self) -> list[dict[str, Any]]:
        """The gateway's access log."""
        lines = [json.loads(line) for line in self.gateway_log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("target") == "access"]

    def model_server_notes(self) -> list[dict[str, Any]]:
        """What the model server was asked and who left."""
        return [json.loads(line) for line in self.notes.read_text().splitlines()]

    def _start(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append(process)

    def _wait_for(self, url: str) -> None:
        self._until(lambda: _get(url) is not None, f"nothing answers on {url}")

    def _wait_for_models(self, wanted: set[str]) -> None:
        url = f"http://127.0.0.1:{self.ports.gateway}/v1/models"

        def are_listed() -> bool:
            answer = _get(url, {"Authorization": f"Bearer {KEY}"})
            return answer is not None and wanted <= {model["id"] for model in answer["data"]}

        self._until(are_listed, f"{url} lacks some of {sorted(wanted)}")

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            ended = [process.args for process in self._running if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise NotStarted(f"{otherwise}; ended: {ended}; see the logs in {self._root}")
            time.sleep(0.2)


def _get(url: str, headers: dict[str, str] | None = None) -> Any:
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError):
        return None


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass

"""What the suite needs: a Python with the SDK's dependencies, and the mock server that its authors use."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from .parts import Failed

# Of the suite's own requirements those that its tests of the API import.
TOOLS = ["pytest", "pytest-asyncio", "pytest-xdist", "rich", "inline-snapshot", "trio", "aiohttp"]
MOCK_SERVER = "@stdy/cli"
LIMIT_SECONDS = 600


def python(root: Path, checkout: Path) -> Path:
    """An interpreter with all that the SDK of this checkout and its tests import."""
    manifest = checkout / "pyproject.toml"
    if not manifest.is_file() or not (checkout / "tests" / "api_resources").is_dir():
        raise Failed(f"{checkout} is no checkout of openai-python with its tests")
    dependencies = tomllib.loads(manifest.read_text())["project"]["dependencies"]
    venv = root / "venv"
    mark, wanted = venv / "installed", "\n".join(dependencies + TOOLS)
    if not mark.exists() or mark.read_text() != wanted:
        print(f"installing the suite's requirements into {venv}", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", venv])
        _run([venv / "bin" / "pip", "install", "--quiet", *dependencies, *TOOLS])
        mark.write_text(wanted)
    return venv / "bin" / "python"


def mock_server(root: Path, checkout: Path) -> list[str]:
    """The command of the mock server, in the version that this checkout names, but for its port."""
    description = checkout / "api_reference" / "openapi.transformed.yml"
    if not description.is_file():
        raise Failed(f"{description} is missing: the mock server needs the description of the API")
    version = json.loads((checkout / "package.json").read_text())["devDependencies"][MOCK_SERVER]
    program = root / "node_modules" / MOCK_SERVER
    if not program.is_dir() or json.loads((program / "package.json").read_text())["version"] != version:
        print(f"installing {MOCK_SERVER} {version}", flush=True)
        package = f"{MOCK_SERVER}@{version}"
        _run(["npm", "install", "--prefix", root, "--no-audit", "--no-fund", "--ignore-scripts", package])
    # As the checkout's own `scripts/mock` starts it.
    formats = [f"--validator-{part}-format=brackets" for part in ("query-array", "form-array", "query-object", "form-object")]
    return ["node", str(program / "steady.js"), "--host", "127.0.0.1", *formats, str(description)]


def _run(command: list[str | Path]) -> None:
    said = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    if said.returncode != 0:
        raise Failed(f"{Path(command[0]).name} failed:\n{said.stdout[-2000:]}")

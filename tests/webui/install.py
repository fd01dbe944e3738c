"""What the test needs beside the gateway: Open WebUI, Chromium, and the library that drives it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

OPEN_WEBUI = "0.12.4"
PLAYWRIGHT = "1.65.1"
# Open WebUI and what it needs take 1.7 GB, and as much again in uv's cache.
NEEDED_BYTES = 8 * 1024**3
LIMIT_SECONDS = 1200
# Only its own embeddings need torch, which would bring gigabytes of drivers: the test has them off.
LEFT_OUT = "torch ; sys_platform == 'never'\n"


class Missing(Exception):
    """Something that cannot be installed, and what to do about it."""


def open_webui(root: Path) -> Path:
    """Open WebUI's program, installed into a virtual environment of its own."""
    venv = root / f"open-webui-{OPEN_WEBUI}"
    program = venv / "bin" / "open-webui"
    if program.exists():
        return program
    if shutil.disk_usage(root).free < NEEDED_BYTES:
        raise Missing(f"Open WebUI needs {NEEDED_BYTES >> 30} GiB of disk below {root}")
    print(f"installing Open WebUI {OPEN_WEBUI} into {venv} (1.7 GB)", flush=True)
    uv = _uv(root)
    override = root / "override.txt"
    override.write_text(LEFT_OUT)
    _run([uv, "venv", "--quiet", "--clear", "--python", _python(), venv])
    package = f"open-webui=={OPEN_WEBUI}"
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--override", override]
    _run([*install, "--python", venv / "bin" / "python", package], UV_CACHE_DIR=str(root / "uv"))
    return program


def chromium() -> str:
    """Chromium's program, from Debian."""
    found = shutil.which("chromium")
    if found:
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing("Chromium is missing; install it (Debian: apt-get install chromium)")
    print("installing Chromium", flush=True)
    _run(["apt-get", "update", "--quiet"])
    _run(["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", "chromium"])
    return shutil.which("chromium") or "/usr/bin/chromium"


def playwright(root: Path) -> Path:
    """The folder of Node packages, with the library in it."""
    modules = root / "node_modules"
    if not (modules / "playwright-core").is_dir():
        if not shutil.which("npm"):
            raise Missing("npm is missing; install Node 20 or later")
        package = f"playwright-core@{PLAYWRIGHT}"
        _run(["npm", "install", "--prefix", root, "--no-audit", "--no-fund", "--ignore-scripts", package])
    return modules


def _uv(root: Path) -> str:
    found = shutil.which("uv")
    if found:
        return found
    tools = root / "tools"
    if not (tools / "bin" / "uv").exists():
        _run([_python(), "-m", "venv", tools])
        _run([tools / "bin" / "pip", "install", "--quiet", "uv"])
    return str(tools / "bin" / "uv")


def _python() -> str:
    """A Python that Open WebUI runs on."""
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return sys.executable
    found = shutil.which("python3.11") or shutil.which("python3.12")
    if not found:
        raise Missing("Open WebUI needs Python 3.11 or 3.12")
    return found


def _run(command: list[str | Path], **environment: str) -> None:
    said = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    if said.returncode != 0:
        raise Missing(f"{Path(command[0]).name} failed:\n{said.stdout[-2000:]}")

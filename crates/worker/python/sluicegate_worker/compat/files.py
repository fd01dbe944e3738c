"""Where functions put files: folders of this process, and the gateway's store for what is to last."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sluicegate_worker.compat.facade import GATEWAY, Question, Steps

#: Longest content the gateway takes, in bytes: in base64 it has to fit into one frame.
CONTENT_BYTES = 44 * 1024 * 1024


def folder(*names: str) -> Callable[[], Path]:
    """A folder below this process's own, made when it is asked for."""

    def made() -> Path:
        path = Path(GATEWAY.directory or os.curdir, *names).absolute()
        path.mkdir(parents=True, exist_ok=True)
        return path

    return made


data_folder = folder("data")
upload_folder = folder("data", "uploads")

#: Folders by the names they have in `open_webui.config` and `open_webui.env`.
FOLDERS: dict[str, Callable[[], Path]] = {
    "BACKEND_DIR": folder(),
    "BASE_DIR": folder(),
    "CACHE_DIR": folder("data", "cache"),
    "DATA_DIR": data_folder,
    "FONTS_DIR": folder("static", "fonts"),
    "FRONTEND_BUILD_DIR": folder("build"),
    "OPEN_WEBUI_DIR": folder(),
    "STATIC_DIR": folder("static"),
    "UPLOAD_DIR": upload_folder,
}


def store(contents: bytes, filename: str) -> Steps:
    """Puts contents under a name into the gateway's store and into the folder of uploads; gives the path there."""
    if len(contents) > CONTENT_BYTES:
        raise ValueError(f"`{filename}` has {len(contents)} bytes; the gateway stores at most {CONTENT_BYTES}")
    name = os.path.basename(filename)
    path = upload_folder() / name
    path.write_bytes(contents)
    yield Question("blobs.put", {"id": name, "base64": base64.b64encode(contents).decode()})
    return str(path)


def fetch(path: Any) -> Steps:
    """The path of a stored file on this machine, where it is put if another process stored it."""
    name = os.path.basename(str(path))
    local = upload_folder() / name
    if not local.exists():
        found = yield Question("blobs.get", {"id": name})
        if found is None:
            raise FileNotFoundError(f"no file `{name}` is stored")
        local.write_bytes(base64.b64decode(found["base64"]))
    return str(local)


def forget(path: Any) -> Steps:
    """Removes a stored file."""
    name = os.path.basename(str(path))
    (upload_folder() / name).unlink(missing_ok=True)
    return bool((yield Question("blobs.delete", {"id": name})))

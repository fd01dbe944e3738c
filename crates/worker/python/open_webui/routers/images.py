"""Images from functions: read and stored. Making them is not among what a gateway does."""

from __future__ import annotations

import base64
import mimetypes
from typing import Any

from open_webui.routers.files import owner_id, stored
from sluicegate_worker.compat.facade import Steps, asks
from sluicegate_worker.compat.finder import missing
from sluicegate_worker.compat.records import Record


class GenerateImageForm(Record):
    """What an image is to show."""

    model: Any = None
    prompt: Any = ""
    size: Any = None
    n: Any = 1
    negative_prompt: Any = None


CreateImageForm = GenerateImageForm


def load_b64_image_data(b64_str: str) -> tuple[bytes, str] | None:
    """The bytes and content type of an image in base64, as data URL or without its head; `None` if it is none."""
    head, comma, data = b64_str.partition(",")
    kind = head.removeprefix("data:").partition(";")[0] if comma else "image/png"
    try:
        return base64.b64decode(data if comma else b64_str), kind
    except ValueError:
        return None


def get_image_data(data: str, headers: Any = None) -> tuple[bytes, str] | None:
    """The bytes and content type of an image in base64; addresses are not fetched."""
    return load_b64_image_data(data)


@asks
def upload_image(*arguments: Any, **named: Any) -> Steps:
    """Stores an image and gives the address of its content, whatever order of arguments the version has."""
    given = [value for value in [*arguments, *named.values()] if value is not None]
    contents = next(value for value in given if isinstance(value, bytes))
    kind = next((value for value in given if isinstance(value, str)), "image/png")
    members = next((value for value in given if type(value) is dict), {})
    user = named.get("user") or next((value for value in reversed(given) if hasattr(value, "email")), None)
    filename = f"generated-image{mimetypes.guess_extension(kind) or '.png'}"
    meta = {"name": filename, "content_type": kind, "size": len(contents), "data": members}
    record = yield from stored(contents, filename, meta, owner_id(user), process=False)
    return f"/api/v1/files/{record.id}/content"


def __getattr__(name: str) -> Any:
    return missing(__name__, name)

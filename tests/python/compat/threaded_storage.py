"""
title: Threaded storage
"""

import asyncio
import io
import uuid

from open_webui.models.files import FileForm, Files
from open_webui.storage.provider import Storage


class Pipe:
    async def pipe(self, body, __user__):
        id = str(uuid.uuid4())
        contents, path = await asyncio.to_thread(Storage.upload_file, io.BytesIO(b"abc"), f"{id}_a.bin", {})
        form = FileForm(id=id, filename="a.bin", path=path, meta={"size": len(contents)})
        await asyncio.to_thread(Files.insert_new_file, __user__["id"], form)
        file = await asyncio.to_thread(lambda: Files.get_file_by_id(id))
        return f"{file.meta.get('size')} bytes"

"""
title: Picture
"""

import base64
import io

from fastapi import UploadFile
from open_webui.models.users import Users
from open_webui.routers.files import upload_file_handler

PIXEL = base64.b64encode(b"\x89PNG\r\n").decode()


class Pipe:
    async def pipe(self, body, __user__, __request__, __metadata__):
        item = upload_file_handler(
            request=__request__,
            file=UploadFile(file=io.BytesIO(base64.b64decode(PIXEL)), filename="picture.png", headers={}),
            metadata={"chat_id": __metadata__["chat_id"]},
            process=False,
            user=Users.get_user_by_id(__user__["id"]),
        )
        return f"![picture]({__request__.app.url_path_for('get_file_content_by_id', id=item.id)})"

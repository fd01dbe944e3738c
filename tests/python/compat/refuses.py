"""
title: Refuses
"""

from fastapi import HTTPException, status
from open_webui.constants import ERROR_MESSAGES


class Filter:
    def inlet(self, body, __user__):
        if __user__["role"] != "admin":
            raise HTTPException(status_code=status.HTTP_403_FORBIDDEN, detail=ERROR_MESSAGES.ACCESS_PROHIBITED)
        return body

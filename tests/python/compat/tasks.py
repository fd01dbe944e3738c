"""
title: Tasks
"""

from open_webui.constants import TASKS
from open_webui.utils.task import get_task_model_id


class Pipe:
    async def pipe(self, body, __task__=None):
        if __task__ == TASKS.TITLE_GENERATION:
            return "A title"
        return get_task_model_id(body["model"], None, None, {})

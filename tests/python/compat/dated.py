"""
title: Dated
"""

from open_webui.utils.payload import apply_model_system_prompt_to_body


class Filter:
    def inlet(self, body, __user__, __metadata__):
        return apply_model_system_prompt_to_body("It is {{CURRENT_DATE}}.", body, __metadata__, __user__)

"""
title: Logs
"""

import logging

from open_webui.env import SRC_LOG_LEVELS

logging.basicConfig(level=logging.DEBUG, force=True)
log = logging.getLogger(__name__)
log.setLevel(SRC_LOG_LEVELS["MAIN"])


class Filter:
    def inlet(self, body):
        log.info("inlet of logs")
        return body

"""
title: Sets up logging as it likes
"""

import logging
import sys

from open_webui.env import SRC_LOG_LEVELS

logging.basicConfig(level=logging.DEBUG, force=True, stream=sys.stdout, format="mine %(message)s")

log = logging.getLogger("along")
log.setLevel(SRC_LOG_LEVELS.get("MAIN", logging.INFO))

quiet = logging.getLogger("quiet")
quiet.propagate = False
if not quiet.handlers:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s - %(message)s"))
    quiet.addHandler(handler)
quiet.setLevel(logging.DEBUG)


class Filter:
    def inlet(self, body):
        log.info("by the root")
        quiet.debug("by a handler of its own")
        try:
            {}["missing"]
        except KeyError:
            log.exception("it failed")
        return body

"""
title: Installs what it needs while it runs
"""

import subprocess
import sys


class Pipe:
    def pipe(self, body):
        try:
            import a_package_that_nobody_has
        except ImportError:
            subprocess.check_call(
                [sys.executable, "-m", "pip", "install", "--no-index", "a-package-that-nobody-has"]
            )
            import a_package_that_nobody_has
        return a_package_that_nobody_has.answer()

"""Starts programs that use memory, each less than the limit."""

import subprocess
import sys

PROGRAM = "kept = b'1' * (200 << 20); print('there', flush=True); import time; time.sleep(1000)"


class Pipe:
    def pipe(self, body):
        if body["messages"][-1]["content"] != "swell":
            return "calm"
        programs = [subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) for _ in range(4)]
        for program in programs:
            program.stdout.readline()
        programs[0].wait()
        return "swollen"

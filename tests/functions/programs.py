"""Runs programs, one of which detaches itself and stays."""

import subprocess


class Pipe:
    async def pipe(self, body):
        deed = body["messages"][-1]["content"]
        if deed == "run":
            done = subprocess.run(["sh", "-c", "echo from a program"], capture_output=True, text=True, check=True)
            return done.stdout.strip()
        if deed == "read":
            done = subprocess.run(["cat", "../../../../../../sluicegate.db"], capture_output=True, text=True)
            return done.stderr
        if deed == "stop":
            sleeping = subprocess.Popen(["sleep", "1000"])
            sleeping.kill()
            return str(sleeping.wait())
        subprocess.run(["sh", "-c", "setsid sleep 1000 & exit"], check=True)
        return "detached"

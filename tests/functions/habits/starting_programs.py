"""
title: Starts programs and processes
"""

import asyncio
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor


def double(number):
    print("not heard", number)
    return 2 * number


class Filter:
    async def inlet(self, body):
        found = [subprocess.run(["echo", "run"], capture_output=True, text=True, check=True).stdout.strip()]
        found.append(subprocess.check_output([sys.executable, "-c", "print('python')"], text=True).strip())
        found.append(subprocess.getoutput("exit 3; echo no") + str(subprocess.call(["sh", "-c", "exit 3"])))
        pipe = asyncio.subprocess.PIPE
        program = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe)
        out, _ = await program.communicate(b"async")
        found.append(out.decode())
        shell = await asyncio.create_subprocess_shell("echo shell", stdout=asyncio.subprocess.PIPE)
        found.append((await shell.stdout.read()).decode().strip())
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found.append(str(pool.map(double, [1, 2])))
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
            found.append(str(await loop.run_in_executor(pool, double, 3)))
        body["messages"][-1]["content"] = " ".join(found)
        return body

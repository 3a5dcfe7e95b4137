"""Starts one process after the other and measures each whole. A program of its own, because a process inherits the
peak memory of the one that started it: this one is as small as a Python can be.

Reads one JSON object a line (command, folder, variables, input, output, seconds), writes one (wall, cpu, memory, code).
"""

import json
import os
import signal
import sys
import time

_PEAK = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB here


def _measure(wanted):
    os.chdir(wanted["folder"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    redirects = [
        (os.POSIX_SPAWN_OPEN, 0, wanted["input"], os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, wanted["output"], flags, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, wanted["output"] + ".err", flags, 0o600),
    ]
    timed_out = []
    began = time.perf_counter()
    pid = os.posix_spawnp(wanted["command"][0], wanted["command"], wanted["variables"], file_actions=redirects)

    def stop(*_):
        timed_out.append(True)
        os.kill(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, wanted["seconds"])
    _, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss * _PEAK,
        "code": os.waitstatus_to_exitcode(status),
        "timed_out": bool(timed_out),
    }


for line in sys.stdin:
    sys.stdout.write(json.dumps(_measure(json.loads(line))) + "\n")
    sys.stdout.flush()

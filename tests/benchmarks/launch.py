"""Starts one process after the other and measures each whole. A program of its own, because a process inherits the
peak memory of the one that started it: this one is as small as a Python can be.

Reads one JSON object a line (command, folder, variables, input, output, seconds, together), writes one (wall, cpu,
memory, code). With `together`, memory is that of the process and of those it started, sampled, which costs time.
"""

import json
import os
import signal
import sys
import time

_PEAK = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB here

#: Seconds between two samples.
_SAMPLE = 0.02


def _memory(pid):
    """Proportional set size of a process, bytes: what it shares with others counts for each in part. 0: it ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:  # noqa: PTH123 - pathlib is not small
            return sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
    except OSError:
        return 0


def _together(pid):
    """Waits for the end of `pid`, which is not reaped: the most that it and those it started had at once."""
    peak = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123 - as above
                started = file.read().split()
        except OSError:
            started = []
        peak = max(peak, sum(map(_memory, (pid, *started))))
        time.sleep(_SAMPLE)
    return peak


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
    together = _together(pid) if wanted["together"] else 0
    _, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "memory": max(used.ru_maxrss * _PEAK, together),
        "code": os.waitstatus_to_exitcode(status),
        "timed_out": bool(timed_out),
    }


for line in sys.stdin:
    sys.stdout.write(json.dumps(_measure(json.loads(line))) + "\n")
    sys.stdout.flush()

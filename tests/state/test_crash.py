"""Real processes, really killed; a real limit on the size of files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import StateHeld
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.journal import Journal, create
from reconciler.state.run import Run, whoami
from reconciler.state.stores.file import FileStore

WORKER = """
import os, sys
from pathlib import Path
from reconciler.clock import SystemClock
from reconciler.state import events as ev
from reconciler.state.stores.file import FileStore
from reconciler.state.journal import Journal
from reconciler.state.run import Run, whoami

clock = SystemClock()
run, _ = Run.start(Journal(FileStore(Path(sys.argv[1])), clock), clock, command="apply", origin="loopback",
                   fingerprint="", prepare=lambda _: None, **whoami(os.environ))
print("started", run.run, flush=True)
run.append([ev.TargetSeen(1, "loopback", "a", "i"), ev.Declared(1, 1, "m", 1, 0, "r")])
for batch in range(1, 100_000):
    ids = [f"{batch:06d}-{n:03d}-" + "x" * 40 for n in range(100)]
    frame = run.append([ev.Intent(batch, 1, [[[1], 100]], ids)])
    print(batch, frame.hash, flush=True)
"""


@contextmanager
def _worker(path, code=WORKER, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("acknowledged", [1, 7, 30])
def test_kill_9_in_the_middle_of_appends_loses_no_acknowledged_frame(path, acknowledged):
    create(FileStore(path), ManualClock())
    seen = []
    with _worker(path) as process:
        for line in process.stdout:
            seen.append(line.split())
            if len(seen) > acknowledged:
                process.send_signal(signal.SIGKILL)
                break
        seen += [line.split() for line in process.stdout.read().splitlines() if len(line.split()) == 2]
    journal = Journal(FileStore(path), ManualClock())
    hashes = {frame_hash for what, frame_hash in seen if what != "started" and len(frame_hash) == 64}
    journal.load()
    assert hashes <= {frame.hash for frame in walk(journal.store.read(0))}
    clock = ManualClock()
    run, _ = Run.start(
        journal,
        clock,
        command="apply",
        origin="loopback",
        fingerprint="",
        prepare=lambda _: None,
        **whoami(os.environ),
    )
    assert run.took_over == seen[0][1]
    run.finish("done")


def test_after_a_crash_on_this_machine_the_same_command_simply_works(path):
    create(FileStore(path), ManualClock())
    settings = {"command": "apply", "origin": "loopback", "fingerprint": "", "prepare": lambda _: None}
    clock = ManualClock()
    with _worker(path) as process:
        dead = process.stdout.readline().split()[1]
        with pytest.raises(StateHeld):
            Run.start(Journal(FileStore(path), clock), clock, **settings, **whoami(os.environ))
        process.send_signal(signal.SIGSTOP)  # alive, though silent
        with pytest.raises(StateHeld):
            Run.start(Journal(FileStore(path), clock), clock, **settings, **whoami(os.environ))
        process.kill()
        process.wait()
    run, _ = Run.start(Journal(FileStore(path), clock), clock, **settings, **whoami(os.environ))
    assert run.took_over == dead
    assert clock.slept == [], "no waiting"
    run.finish("done")


LIMITED = """
import resource, sys
from pathlib import Path
from reconciler.clock import ManualClock
from reconciler.errors import StoreUnavailable
from reconciler.state import events as ev
from reconciler.state.stores.file import FileStore
from reconciler.state.journal import Journal

path = Path(sys.argv[1])
journal = Journal(FileStore(path), ManualClock())
journal.load()
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, size + 100))
try:
    journal.append("", [ev.Moved(journal.store.url)])
except StoreUnavailable as error:
    print(error.message, path.stat().st_size == size, journal.position)
"""


@pytest.mark.fault(5)
def test_a_limit_on_the_size_of_files_leaves_the_log_as_it_was(path):
    create(FileStore(path), ManualClock())
    before = path.read_bytes()
    with _worker(path, LIMITED) as process:
        said = process.stdout.read()
    assert "too large" in said
    assert said.endswith("True 1\n")
    assert path.read_bytes() == before
    journal = Journal(FileStore(path), ManualClock())
    journal.load()
    journal.append("", [ev.Moved(journal.store.url)])

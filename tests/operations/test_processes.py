"""Real processes, real sockets: killed in the middle, interrupted, two at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from reconciler.emulator import Settings, running
from reconciler.state import events as ev

SCRIPT = """
import signal, sys
from reconciler.errors import ReconcilerError
from reconciler.operations.applying import apply
from reconciler.operations.context import open_context
from reconciler.operations.interrupts import Interrupts

interrupts = Interrupts()
signal.signal(signal.SIGINT, lambda *_: interrupts.request())
context = open_context(sys.argv[1], environment={"CLOUDFLARE_API_TOKEN": "t"}, base_url=sys.argv[2])
try:
    print(apply(context, interrupts=interrupts).exit_code.value)
except ReconcilerError as error:
    print(error.exit_code.value)
"""

MANY = [f"id-{n:05}" for n in range(3000)]


@pytest.fixture
def service():
    """It processes nothing before it is released, so that no run can end before the test has struck."""
    with running(Settings(budget=None, burst=None, latency=0.02)) as server:
        server.emulator.seed("023e105f4ecef8ad9ca31a8372d0c353", "docs", [*MANY, "another"])
        server.emulator.hold()
        yield server


@pytest.fixture
def there(world, service):
    """The world's folder, with the real service behind it."""
    world.emulator.close()
    world.emulator = service.emulator
    world.declare(MANY)
    world.configure(api={"concurrency": 4})
    return world


@pytest.fixture
def start(there, service):
    """Starts an apply in a process of its own; none outlives its test."""
    started = []

    def start():
        command = [sys.executable, "-c", SCRIPT, str(there.root), service.base_url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process):
    out, _ = process.communicate(timeout=60)
    return int(out.split()[-1])


def after(world, deletes, process):
    """Wait until the service has seen so many deletes."""
    deadline = time.monotonic() + 60
    while len(world.deletes()) < deletes:
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def check(world):
    intents = {tuple(event.ids) for event in world.events(ev.Intent)}
    assert {entry.ids for entry in world.deletes() if entry.accepted} <= intents
    assert world.live() == ["another"]
    assert world.actions() == {}
    assert world.state.open_run is None


@pytest.mark.parametrize("deletes", [1, 9, 28])
def test_after_kill_9_running_again_converges_and_every_accepted_delete_had_its_intent(
    there, service, start, deletes
):
    process = start()
    after(there, deletes, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    service.emulator.release()
    at_the_kill = {entry.ids for entry in there.deletes() if entry.accepted}
    content = there.state_path.read_bytes()
    there.state_path.write_bytes(content[: content.rfind(b"\n") + 1])
    assert at_the_kill <= {tuple(event.ids) for event in there.events(ev.Intent)}
    there.state_path.write_bytes(content)
    assert end(start()) == 0  # no lease to wait for: the lock of this machine is free
    check(there)
    extra = len(there.deletes()) - 30
    assert 0 <= extra <= 8 + 1  # at most what was in the air, in batches that close anew


def test_an_interrupt_records_everything_that_was_accepted(there, service, start):
    process = start()
    after(there, 5, process)
    process.send_signal(signal.SIGINT)
    assert end(process) == 130
    service.emulator.release()
    accepted = {event.mutation_id for event in there.events(ev.Accepted)}
    assert accepted == {entry.mutation_id for entry in there.deletes()}
    assert end(start()) == 0
    check(there)
    assert len(there.deletes()) == 30


def test_of_two_at_once_one_works_and_the_other_sends_nothing(there, service, start):
    first = start()
    after(there, 3, first)
    assert end(start()) == 5
    service.emulator.release()
    assert end(first) == 0
    check(there)
    assert len(there.deletes()) == 30

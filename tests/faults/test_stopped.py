"""A run that is stopped past its lease, taken over, and then goes on; a store that is out of reach in the middle."""

from __future__ import annotations

import json
import re
import shlex
import signal
import stat
import time

import pytest

from reconciler.emulator import Fault, Settings, running
from reconciler.state import events as ev
from support.places import Place, new_place
from support.tcp import Cutter
from support.witness import CONCURRENCY, Case
from support.zygote import Zygote

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def zygote():
    with Zygote() as made:
        yield made


@pytest.fixture
def service():
    with running(Settings(budget=None, burst=None)) as made:
        yield made


@pytest.fixture
def slow(service):
    service.emulator.faults.add(Fault(kind="delay_after", operation="delete_by_ids", seconds=0.3, times=None))
    return service


@pytest.fixture
def new_case(zygote, service, request, tmp_path):
    def make(kind, place=None):
        folder = tmp_path / "case" / "project"
        folder.mkdir(parents=True)
        return Case(zygote, service, place or new_place(kind, request, folder), folder)

    return make


def _until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _open_run(case):
    (run,) = {f.run for f in case.frames() if any(isinstance(e, ev.RunStarted) for e in f.events)}
    return run


@pytest.mark.fault(11)
@pytest.mark.parametrize("kind", ["file", "postgres", "seaweed"])
def test_a_run_that_was_stopped_and_taken_over_starts_nothing_more(new_case, slow, kind, cases):
    case = new_case(kind)
    stopped = case.start("apply", "--auto-approve")
    _until(lambda: len(case.requests()) >= 2)
    stopped.signal(signal.SIGSTOP)
    run = _open_run(case)
    held = case.run("apply", "--auto-approve")
    assert held.code == 5, "a stopped process is not a dead one"
    _take_over = case.run("state", "unlock", run, "--reason", "it does not move")
    assert _take_over.code == 0
    slow.emulator.faults.clear()
    taken = case.run("apply", "--auto-approve")
    assert taken.code == 0, taken.err
    before = len(case.requests())
    stopped.signal(signal.SIGCONT)
    ended = stopped.wait()
    assert ended.code == 5, ended.err
    assert "was taken over" in ended.err
    late = case.requests()[before:]
    assert len(late) <= CONCURRENCY, "a fenced run went on"
    case.acknowledged += ended.acknowledged
    case.acknowledged.sort(key=lambda head: int(head.partition(":")[0]))
    case.kills = 1
    case.check()
    kept = list(case.folder.parent.rglob("reconciler-unsaved-*.jsonl"))
    if kept:
        _push(case, kept[0], ended.err)
    case.converge()
    cases(1)


@pytest.mark.fault(11)
@pytest.mark.parametrize("kind", ["file", "postgres", "seaweed"])
def test_past_its_lease_it_is_taken_over_by_who_waits_and_starts_nothing_after_that(new_case, slow, kind, cases):
    case = new_case(kind)
    stopped = case.start("apply", "--auto-approve", lease=1.5)
    _until(lambda: len(case.requests()) >= 2)
    stopped.signal(signal.SIGSTOP)
    slow.emulator.faults.clear()
    taken = case.run("apply", "--auto-approve", "--lock-timeout", "60", lease=1.5)
    assert taken.code == 0, taken.err
    assert "waiting for the state" in taken.err
    assert "took over" in taken.err
    before = len(case.requests())
    stopped.signal(signal.SIGCONT)
    ended = stopped.wait()
    assert ended.code == 5, ended.err
    assert len(case.requests()) == before, "nothing was fresh enough to be sent after that"
    case.acknowledged += ended.acknowledged
    case.acknowledged.sort(key=lambda head: int(head.partition(":")[0]))
    case.kills = 1
    case.check()
    case.converge()
    cases(1)


def _push(case, path, said):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (line,) = [line for line in said.splitlines() if "reconciler state push" in line]
    assert "hunter2" not in line
    command = shlex.split(re.search(r"reconciler state push .*?(?=;|$)", line)[0])
    if case.place.kind == "postgres" and "--state" in command:
        del command[command.index("--state") : command.index("--state") + 2]  # the password is in the environment
    pushed = case.run(*command[1:])
    assert pushed.code == 0, pushed.err
    saved = [json.loads(row)["event"] for row in path.read_text().splitlines()]
    accepted = {event["mutation_id"] for event in saved if event["kind"] == "accepted"}
    assert accepted <= {e.mutation_id for f in case.frames() for e in f.events if isinstance(e, ev.Accepted)}
    assert "Recorded 0 outcomes" in case.run(*command[1:]).out


@pytest.mark.fault(20)
@pytest.mark.parametrize("kind", ["postgres", "seaweed"])
def test_a_store_out_of_reach_in_the_middle_stops_the_sending_and_what_was_learned_is_pushed_later(
    new_case, slow, kind, request
):
    server = request.getfixturevalue(kind)
    upstream = server.port if kind == "postgres" else int(server.endpoint.rpartition(":")[2])
    real = new_place(kind, request, None)
    with Cutter(upstream) as cutter:
        place = Place(kind, real.url.replace(f":{upstream}", f":{cutter.port}", 1), dict(real.env))
        if kind == "seaweed":
            place.env = {**real.env, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{cutter.port}"}
        case = new_case(kind, place)
        child = case.start("apply", "--auto-approve")
        _until(lambda: len(case.requests()) >= 3)
        cutter.refuse = True
        cutter.cut()
        ended = child.wait()
        assert ended.code == 1, ended.err
        sent = len(case.requests())
        assert sent < 5, "it went on sending although nothing could be recorded"
        cutter.refuse = False
        (kept,) = case.folder.rglob("reconciler-unsaved-*.jsonl")
        slow.emulator.faults.clear()
        case.acknowledged += ended.acknowledged
        case.kills = 1
        held = case.run("state", "push", str(kept))
        assert held.code == 5, "the run that failed still holds the state: it could not say that it ended"
        case._take_over(held.err.replace("(state push)", "(apply)"))
        _push(case, kept, ended.err)
        given = {
            e.mutation_id for e in slow.emulator.record(operation="delete_by_ids") if e.account == case.account
        }
        assert given == {e.mutation_id for f in case.frames() for e in f.events if isinstance(e, ev.Accepted)}
        case.converge()


@pytest.mark.fault(25)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", ["postgres", "seaweed"])
def test_a_signal_closes_the_run_on_every_store(new_case, slow, kind, number):
    case = new_case(kind)
    child = case.start("apply", "--auto-approve")
    _until(lambda: len(case.requests()) >= 2)
    child.signal(number)
    ended = child.wait()
    assert ended.code == 130, ended.err
    finished = [e for f in case.frames() for e in f.events if isinstance(e, ev.RunFinished)]
    assert [e.outcome for e in finished] == ["interrupted"]
    slow.emulator.faults.clear()
    case.acknowledged += ended.acknowledged
    case.check()
    case.converge()

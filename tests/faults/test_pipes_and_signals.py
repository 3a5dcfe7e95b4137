"""Signals, readers that go away, and stores out of reach, in the middle of a run whose state is on a server."""

from __future__ import annotations

import os
import signal
import stat

import pytest

from reconciler.state import events as ev
from support.places import Place, new_place
from support.postgres import Postgres
from support.tcp import Cutter
from support.witness import LEAST

pytestmark = pytest.mark.timeout(300)

SERVERS = ("postgres", "seaweed")


def _outcomes(case):
    return [e.outcome for f in case.frames() for e in f.events if isinstance(e, ev.RunFinished)]


@pytest.mark.fault(25)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", SERVERS)
def test_a_signal_closes_the_run_on_every_store(new_case, slow, until, kind, number):
    case = new_case(kind)
    child = case.start("apply", "--auto-approve")
    until(lambda: len(case.requests()) >= 2)
    child.signal(number)
    ended = case.end(child)
    assert ended.code == 130, ended.err
    assert _outcomes(case) == ["interrupted"]
    seen = case.check()
    assert {entry.mutation_id for entry in seen.deletes} == set(seen.answers.values()), (
        "an answer was not recorded"
    )
    slow.emulator.faults.clear()
    case.converge()
    assert len(case.requests()) == LEAST, "nothing was sent twice"
    assert case.unlocked == [], "it held the state after its end"


@pytest.mark.fault(25)
@pytest.mark.parametrize("stream", ["out", "err"])
@pytest.mark.parametrize("kind", ["file", *SERVERS])
def test_a_reader_that_goes_away_in_the_middle_changes_nothing_of_a_run(new_case, slow, until, kind, stream):
    case = new_case(kind)
    pipe = case.folder.parent / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    child = case.start("apply", "--auto-approve", "--format", "json", streams={stream: pipe})
    until(lambda: len(case.requests()) >= 2)
    os.close(reader)
    ended = case.end(child)
    assert ended.code == 0, ended.err
    assert _outcomes(case) == ["done"]
    case.converge()
    assert len(case.requests()) == LEAST


@pytest.mark.parametrize(
    "kind",
    [pytest.param("postgres", marks=pytest.mark.fault(20)), pytest.param("seaweed", marks=pytest.mark.fault(14))],
)
def test_a_store_out_of_reach_in_the_middle_stops_the_sending_and_what_was_learned_is_pushed_later(
    new_case, slow, until, kind, request
):
    server = request.getfixturevalue(kind)
    upstream = server.port if kind == "postgres" else int(server.endpoint.rpartition(":")[2])
    real = new_place(kind, request, None)
    with Cutter(upstream) as cutter:
        place = Place(kind, real.url.replace(f":{upstream}", f":{cutter.port}", 1), dict(real.env))
        if kind == "seaweed":
            place.env = {**real.env, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{cutter.port}"}
        case = new_case(kind, place)
        child = case.start("apply", "--auto-approve", hurry=0.01)
        until(lambda: len(case.requests()) >= 3)
        cutter.refuse = True
        cutter.cut()
        ended = case.end(child)
        assert ended.code == 1, ended.err
        sent = len(case.requests())
        assert sent < LEAST, "it went on sending although nothing could be recorded"
        cutter.refuse = False
        slow.emulator.faults.clear()
        case.kills += 1
        seen = case.check()
        (kept,) = case.folder.rglob("reconciler-unsaved-*.jsonl")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        missing = {entry.mutation_id for entry in seen.deletes} - set(seen.answers.values())
        assert missing
        assert all(mutation in kept.read_text() for mutation in missing)
        (line,) = [line for line in ended.err.splitlines() if "reconciler state push" in line]
        command = line[line.index("reconciler state push") :].partition(";")[0]
        held = case.printed(command)
        assert held.code == 5, "the run that failed still holds the state: it could not say that it ended"
        case.take_over(held.err)
        pushed = case.printed(command)
        assert pushed.code == 0, pushed.err
        seen = case.check()
        assert {entry.mutation_id for entry in seen.deletes} == set(seen.answers.values())
        case.converge()
        assert len(case.requests()) == LEAST, "what was pushed is not sent again"


@pytest.fixture
def own_server():
    server = Postgres()
    yield server
    server.stop()


@pytest.mark.fault(20)
def test_a_database_that_is_killed_and_comes_back_in_time_costs_nothing(new_case, slow, until, own_server):
    place = Place("postgres", own_server.url(own_server.create_database()))
    case = new_case("postgres", place)
    child = case.start("apply", "--auto-approve", hurry=1.0)
    until(lambda: len(case.requests()) >= 2)
    own_server.kill()
    own_server.start()
    ended = case.end(child)
    assert ended.code == 0, ended.err
    case.converge()
    assert len(case.requests()) == LEAST

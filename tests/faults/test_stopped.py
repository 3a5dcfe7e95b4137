"""A run that is stopped past its lease, taken over, and then goes on; and wall clocks that lie about when that was."""

from __future__ import annotations

import json
import re
import signal
import stat

import pytest

from reconciler.emulator import Fault
from reconciler.state import events as ev
from support.witness import CONCURRENCY, DECLARED

pytestmark = pytest.mark.timeout(300)

STORES = ("file", "postgres", "seaweed")
HOUR = 3600.0


@pytest.fixture
def stopped_in_the_middle(witness, until):
    """Starts an apply, and stops its process while the answers to its first deletes are on their way."""

    def stop(case, **options):
        late = Fault(
            kind="delay_after", operation="delete_by_ids", account=case.account, seconds=1.0, times=CONCURRENCY
        )
        held = witness.emulator.faults.add(late)
        child = case.start("apply", "--auto-approve", **options)
        until(lambda: witness.emulator.faults.hits(held) == CONCURRENCY)
        child.signal(signal.SIGSTOP)
        until(lambda: len(case.requests()) == CONCURRENCY)
        return child

    return stop


def _saved(case):
    """The one file of outcomes that were not recorded."""
    (path,) = case.folder.parent.rglob("reconciler-unsaved-*.jsonl")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert "hunter2" not in text
    return path, [json.loads(row)["event"] for row in text.splitlines()]


def _ends_fenced(case, stopped):
    """Let it go on. It may still start what had passed the check before it was stopped, and nothing else."""
    before = len(case.requests())
    stopped.signal(signal.SIGCONT)
    ended = case.end(stopped)
    assert ended.code == 5, ended.err
    assert "was taken over" in ended.err
    case.kills += 1
    return ended, len(case.requests()) - before


@pytest.mark.fault(11)
@pytest.mark.parametrize("kind", STORES)
def test_a_run_that_was_stopped_and_taken_over_starts_nothing_more(new_case, stopped_in_the_middle, kind):
    case = new_case(kind)
    stopped = stopped_in_the_middle(case)
    held = case.run("apply", "--auto-approve")
    assert held.code == 5, "a stopped process is not a dead one"
    case.take_over(held.err)
    taken = case.run("apply", "--auto-approve")
    assert taken.code == 0, taken.err
    ended, late = _ends_fenced(case, stopped)
    assert late <= CONCURRENCY, "a fenced run went on"
    case.check()
    _path, saved = _saved(case)
    assert [event["kind"] for event in saved] == ["accepted"] * (CONCURRENCY + late)
    (line,) = [line for line in ended.err.splitlines() if "reconciler state push" in line]
    command = line[line.index("reconciler state push") :].partition(";")[0]
    pushed = case.printed(command)
    assert pushed.code == 0, pushed.err
    seen = case.check()
    assert {event["mutation_id"] for event in saved} <= set(seen.answers.values())
    assert {entry.mutation_id for entry in seen.deletes} == set(seen.answers.values()), "an acceptance is missing"
    assert case.run("state", "verify").code == 0
    assert "Recorded 0 outcomes" in case.printed(command).out
    case.converge()


@pytest.mark.fault(11)
@pytest.mark.parametrize("kind", STORES)
def test_while_the_other_still_works_the_fenced_run_says_who_that_is(
    new_case, stopped_in_the_middle, witness, until, kind
):
    case = new_case(kind)
    stopped = stopped_in_the_middle(case)
    run = case.holder()
    assert case.run("state", "unlock", run, "--reason", "it does not move").code == 0
    slowly = Fault(kind="delay_after", operation="delete_by_ids", account=case.account, seconds=0.7, times=None)
    witness.emulator.faults.add(slowly)
    taking = case.start("apply", "--auto-approve")
    until(lambda: len(case.requests()) > CONCURRENCY)
    by = case.holder()
    assert by not in (None, run)
    ended, late = _ends_fenced_while(case, stopped)
    witness.emulator.faults.clear()
    assert re.search(
        rf"run {run} was taken over by .+ with `state unlock`; run {by} \(apply\) .+ holds it now", ended.err
    )
    assert f"pid {taking.pid}" in ended.err
    assert late <= CONCURRENCY
    taken = case.end(taking)
    assert taken.code == 0, taken.err
    case.converge()


def _ends_fenced_while(case, stopped):
    """As `_ends_fenced`, told apart from the other's requests by the runs of their intents."""
    run = next(f.run for f in case.frames() if any(isinstance(e, ev.RunStarted) for e in f.events))
    seen = case.evidence()
    mine = [
        (seen.indexes[e.target], list(e.ids))
        for f, e in seen.events()
        if isinstance(e, ev.Intent) and f.run == run
    ]
    ended, _ = _ends_fenced(case, stopped)
    sent = [request for request in case.requests() if request in mine]
    again = [
        (seen.indexes[e.target], list(e.ids))
        for f, e in case.evidence().events()
        if isinstance(e, ev.Intent) and f.run != run
    ]
    return ended, len(sent) - CONCURRENCY - len([each for each in again if each in mine and each in sent])


@pytest.mark.fault(11)
@pytest.mark.parametrize("kind", STORES)
def test_past_its_lease_it_is_taken_over_by_who_waits_and_starts_nothing_after_that(
    new_case, stopped_in_the_middle, kind
):
    case = new_case(kind)
    stopped = stopped_in_the_middle(case, lease=1.5)
    taken = case.run("apply", "--auto-approve", "--lock-timeout", "60", lease=1.5)
    assert taken.code == 0, taken.err
    assert "waiting for the state" in taken.err
    assert "took over" in taken.err
    ended, late = _ends_fenced(case, stopped)
    assert re.search(r"was taken over by run \w+ \(apply\) .+, which has ended", ended.err), ended.err
    assert late == 0, "nothing was fresh enough to be sent after that"
    case.check()
    case.converge()


@pytest.mark.fault(12)
@pytest.mark.parametrize("kind", STORES)
def test_a_wall_clock_that_is_an_hour_wrong_takes_no_living_run_over(new_case, stopped_in_the_middle, kind, cases):
    case = new_case(kind)
    working = stopped_in_the_middle(case)
    for ahead in (HOUR, -HOUR):
        refused = case.run("apply", "--auto-approve", ahead=ahead)
        assert refused.code == 5, refused.err
    working.signal(signal.SIGCONT)
    ended = case.end(working)
    assert ended.code == 0, ended.err
    sent = [each for _, ids in case.requests() for each in ids]
    assert len(sent) == len(set(sent)) == sum(map(len, DECLARED.values()))
    case.converge()
    cases(2)


@pytest.mark.fault(12)
@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("hours", [1, -1])
def test_a_wall_clock_that_jumps_while_runs_are_killed_changes_nothing(new_case, slow, until, kind, hours, cases):
    case = new_case(kind)
    for number in (2, 4):
        child = case.start("apply", "--auto-approve", jump=hours * HOUR)
        until(lambda number=number: len(case.requests()) >= number)
        case.kill(child)
        case.check_killed()
        case.free()
    ended = case.run("apply", "--auto-approve", jump=-hours * HOUR)
    assert ended.code == 0, ended.err
    case.converge()
    cases(2)


@pytest.mark.fault(12)
@pytest.mark.parametrize("kind", STORES)
def test_a_wall_clock_so_wrong_that_a_living_run_is_taken_over_costs_requests_and_nothing_else(
    new_case, slow, until, kind
):
    case = new_case(kind)
    working = case.start("apply", "--auto-approve")
    until(case.requests)
    taken = case.run("apply", "--auto-approve", ahead=3 * HOUR)
    assert taken.code == 0, taken.err
    assert "took over" in taken.err
    fenced = case.end(working)
    assert fenced.code == 5, fenced.err
    case.kills += 1
    case.check()
    case.converge()

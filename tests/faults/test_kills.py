"""kill -9 at every numbered step of an apply, and at random moments; what the world saw is the witness."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

import pytest

from reconciler.emulator import Fault
from reconciler.state import events as ev
from reconciler.state import unsaved
from support.witness import LEAST

sys.path.insert(0, str(Path(__file__).parent))
from kills import IN_A_ROW, kill, measure

pytestmark = [pytest.mark.fault(1), pytest.mark.timeout(300)]

#: So many tests share the steps of a store, so that several processes can work at them.
PARTS = 4
SEED = 20261126
STORES = ("file", "postgres", "seaweed")


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", STORES)
def test_killed_at_any_step_it_has_lost_nothing_and_converges(new_case, kind, part, cases):
    whole = new_case(kind).apply()
    assert whole.code == 0, whole.err
    assert whole.steps > 50
    killed = 0
    for step in range(1 + part, whole.steps + 1, PARTS):
        case = new_case(kind)
        died = case.count(case.apply(crash_at=step))
        if died.code == 0:
            continue  # requests overlap: a run may have a step or two fewer
        assert died.code == -signal.SIGKILL
        killed += 1
        case.check_killed()
        case.converge()
        assert len(case.unlocked) <= (kind != "file")
    assert killed > 10
    cases(killed)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("kind", "states"), [("file", 8), ("postgres", 4), ("seaweed", 4)])
def test_the_runs_that_follow_are_killed_too(new_case, kind, states, seed, cases):
    steps, chance, killed = new_case(kind).apply().steps, random.Random(SEED + seed), 0
    for _ in range(states):
        case = new_case(kind)
        for _ in range(IN_A_ROW):
            case.count(case.run("apply", "--auto-approve", crash_at=chance.randint(steps // 8, steps * 3 // 4)))
            case.check_killed()
            case.free()
        killed += case.kills
        case.converge()
    assert killed > states
    cases(killed)


@pytest.mark.parametrize("fault", ["delay_before", "delay_after"])
@pytest.mark.parametrize("kind", STORES)
def test_killed_while_a_request_is_with_the_service(new_case, witness, until, kind, fault, cases):
    """The request is performed all the same: before the next run, or in the middle of it."""
    whole = new_case(kind)
    whole.apply()
    for number in range(1, LEAST + 1):
        case = new_case(kind)
        order = Fault(kind=fault, operation="delete_by_ids", account=case.account, seconds=0.3, nth=number)
        held = witness.emulator.faults.add(order)
        child = case.start("apply", "--auto-approve")
        until(lambda held=held: witness.emulator.faults.hits(held))
        assert case.kill(child).code == -signal.SIGKILL
        case.check_killed()
        case.converge()
        until(lambda case=case: any(fault in entry.faults for entry in case.evidence().deletes))
        case.check()
    cases(LEAST)


@pytest.mark.fault(22)
@pytest.mark.parametrize("part", range(2))
def test_killed_while_it_tries_again_after_answers_that_were_lost(new_case, witness, part, cases):
    def troubled():
        case = new_case("file")
        for order in (
            {"kind": "drop_after", "nth": 2, "times": 2},
            {"kind": "error", "nth": 5, "times": 1, "status": 503},
            {"kind": "null_mutation", "nth": 6, "times": 1},
        ):
            witness.emulator.faults.add(Fault(operation="delete_by_ids", account=case.account, **order))
        return case

    whole = troubled()
    ended = whole.apply(hurry=0.01)
    assert ended.code == 0, ended.err
    assert "Failed" in {type(e).__name__ for f in whole.frames() for e in f.events}
    killed = 0
    for step in range(3 + 4 * part, ended.steps + 1, 8):  # the first test of this file goes through every step
        case = troubled()
        if case.count(case.apply(crash_at=step, hurry=0.01)).code == 0:
            continue
        killed += 1
        case.kills += 4  # the attempts whose answers were lost are sent again, too
        case.check_killed()
        witness.emulator.faults.clear()
        case.converge()
    assert killed > 5
    cases(killed)


def test_killed_while_it_proves_it_proves_again(new_case, cases):
    def accepted():
        case = new_case("file")
        assert case.run("apply", "--auto-approve", "--no-wait").code == 0
        return case

    proven = accepted().run("verify")
    assert proven.code == 0, proven.err
    some = range(1, proven.steps + 1, 3)  # the same steps, in the same order, as at the end of an apply
    for step in some:
        case = accepted()
        assert case.count(case.run("verify", crash_at=step)).code == -signal.SIGKILL
        case.check_killed()
        again = case.run("verify")
        assert again.code == 0, again.err
        assert len(case.requests()) == LEAST, "verify never deletes"
        case.converge()
    cases(len(some))


@pytest.fixture
def left_behind(new_case, witness, until):
    """A case whose first run died with requests on their way."""

    def leave(kind):
        case = new_case(kind)
        late = Fault(kind="delay_after", operation="delete_by_ids", account=case.account, seconds=0.5, times=None)
        witness.emulator.faults.add(late)
        child = case.start("apply", "--auto-approve")
        until(lambda: len(case.requests()) >= 2)
        assert case.kill(child).code == -signal.SIGKILL
        witness.emulator.faults.clear()
        return case

    return leave


@pytest.mark.parametrize("kind", STORES)
def test_a_takeover_by_hand_can_be_killed_too_and_is_done_again(left_behind, kind, cases):
    step, killed = 1, 0
    while True:
        case = left_behind(kind)
        command = ("state", "unlock", case.holder(), "--reason", "it is dead")
        ended = case.count(case.run(*command, crash_at=step))
        if ended.code == 0:
            break
        assert ended.code == -signal.SIGKILL
        killed += 1
        case.check_killed()
        done = case.holder() is None
        assert case.run(*command).code == (1 if done else 0)
        assert case.holder() is None
        case.converge()
        step += 1 if kind == "file" else 3  # reads: nothing but the append can be seen
    assert killed > 1
    cases(killed)


@pytest.mark.parametrize("kind", STORES)
def test_a_push_of_what_no_log_took_can_be_killed_too_and_is_done_again(left_behind, kind, cases):
    def lost():
        case = left_behind(kind)
        assert case.run("state", "unlock", case.holder(), "--reason", "it is dead").code == 0
        return case, ("state", "push", str(_unsaved(case)))

    case, command = lost()
    whole = case.run(*command)
    assert whole.code == 0, whole.err
    some = range(1, whole.steps + 1, 1 + whole.steps // 12)  # most of them are reads, which nobody can see
    for step in some:
        case, command = lost()
        assert case.count(case.run(*command, crash_at=step)).code == -signal.SIGKILL
        case.check_killed()
        again = case.run(*command)
        if again.code == 5:  # the push that died holds the state
            case.take_over(again.err)
            again = case.run(*command)
        assert again.code == 0, again.err
        seen = case.check()
        assert {entry.mutation_id for entry in seen.deletes} == set(seen.answers.values())
        case.converge()
        assert len(case.requests()) <= LEAST + 2, "only what was never sent is sent"
    cases(len(some))


def _unsaved(case):
    """The file that a run would leave of the acceptances that it could not record."""
    seen = case.evidence()
    lost = [e for e in seen.deletes if e.mutation_id not in seen.answers.values()]
    assert lost
    numbers = {(seen.indexes[e.target], tuple(e.ids)): e.batch for e in seen.intents.values()}
    last = seen.frames[-1]
    path = unsaved.save(
        case.folder,
        lineage=next(e.lineage for _, e in seen.events() if isinstance(e, ev.Header)),
        run="r",
        head=f"{last.position}:{last.hash}",
        at="2026-11-22T12:00:00.000Z",
        events=[ev.Accepted(numbers[e.index, e.ids], e.mutation_id) for e in lost],
    )
    assert path is not None
    return path


@pytest.mark.parametrize(
    ("kind", "kills", "seed"), [("file", 15, 1), ("file", 15, 2), ("postgres", 10, 3), ("seaweed", 10, 4)]
)
def test_killed_at_random_moments_again_and_again_it_converges_all_the_same(new_case, kind, kills, seed, cases):
    chance = random.Random(SEED + seed)
    length, hit = measure(new_case(kind)), 0
    while hit < kills:
        hit += kill(new_case(kind), min(IN_A_ROW, kills - hit), length, chance)
    cases(hit)

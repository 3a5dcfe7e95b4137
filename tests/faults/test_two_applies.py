"""Two runs at once on one state, on every store: one works, the other exits 5 and sends nothing."""

from __future__ import annotations

import signal

import pytest

from reconciler.state import events as ev
from support.witness import DECLARED

pytestmark = [pytest.mark.fault(10), pytest.mark.timeout(300)]

STORES = ("file", "postgres", "seaweed")


def _each_id_once(case):
    sent = [(index, each) for index, ids in case.requests() for each in ids]
    assert len(sent) == len(set(sent)) == sum(map(len, DECLARED.values())), "an id was sent twice"


def _runs_that_sent(case):
    return {f.run for f in case.frames() if any(isinstance(e, ev.Intent) for e in f.events)}


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("count", [2, 8])
def test_one_works_and_the_others_exit_5_and_send_nothing(new_case, slow, kind, count, until, cases):
    case = new_case(kind)
    first = case.start("apply", "--auto-approve")
    until(case.requests)
    first.signal(signal.SIGSTOP)  # it holds the state for as long as the others take, however slow the machine is
    children = [case.start("apply", "--auto-approve") for _ in range(count - 1)]
    refused = [case.end(child) for child in children]
    first.signal(signal.SIGCONT)
    assert case.end(first).code == 0
    for each in refused:
        assert each.code == 5, each.err
        assert "the state is held by run" in each.err
        assert "reconciler state unlock" in each.err
    assert len(_runs_that_sent(case)) == 1
    _each_id_once(case)
    case.check()
    case.converge()
    cases(count)


@pytest.mark.parametrize("kind", STORES)
def test_of_eight_that_begin_at_the_same_moment_one_sends(new_case, slow, kind, cases):
    case = new_case(kind)
    children = [case.start("apply", "--auto-approve") for _ in range(8)]
    ended = [case.end(child) for child in children]
    # Whoever comes so late that the first has ended finds nothing left to do, and exits 0.
    assert {0} <= {each.code for each in ended} <= {0, 5}, [each.err for each in ended]
    assert len(_runs_that_sent(case)) == 1
    _each_id_once(case)
    case.check()
    case.converge()
    cases(8)


def test_the_lock_file_removed_while_it_is_held_admits_nobody(new_case, slow, until):
    case = new_case("file")
    first = case.start("apply", "--auto-approve")
    until(case.requests)
    _lock_of(case).unlink()
    second = case.run("apply", "--auto-approve")
    assert second.code == 5, second.err
    assert case.end(first).code == 0
    _each_id_once(case)
    case.converge()


def test_the_lock_file_removed_proves_no_run_dead_and_its_takeover_is_left_to_a_person(new_case, slow, until):
    case = new_case("file")
    first = case.start("apply", "--auto-approve")
    until(case.requests)
    _lock_of(case).unlink()
    assert case.run("apply", "--auto-approve").code == 5  # makes a lock file of its own, and lets go of it
    case.kill(first)
    case.check_killed()
    case.converge()
    assert len(case.unlocked) == 1


def _lock_of(case):
    path = case.place.open().path
    return path.with_name(path.name + ".lock")


@pytest.mark.parametrize("kind", STORES)
def test_who_waits_for_the_state_finds_nothing_left_to_do(new_case, slow, kind, until):
    case = new_case(kind)
    first = case.start("apply", "--auto-approve")
    until(case.requests)
    second = case.run("apply", "--auto-approve", "--lock-timeout", "60")
    assert second.code == 0, second.err
    assert case.end(first).code == 0
    _each_id_once(case)
    case.check()


@pytest.mark.fault(1)
@pytest.mark.parametrize("kind", STORES)
def test_who_waits_takes_over_when_the_other_is_killed_and_ends_its_work(new_case, slow, kind, until):
    case = new_case(kind)
    first = case.start("apply", "--auto-approve", lease=1.5)
    until(case.requests)
    second = case.start("apply", "--auto-approve", "--lock-timeout", "60", lease=1.5)
    assert case.kill(first).code == -signal.SIGKILL
    ended = case.end(second)
    assert ended.code == 0, ended.err
    case.check()
    case.converge()
    assert case.unlocked == []

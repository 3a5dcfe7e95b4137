"""Two runs at once on one state, on every store: one works, the other exits 5 and sends nothing."""

from __future__ import annotations

import pytest

from reconciler.emulator import Fault, Settings, running
from reconciler.state import events as ev
from support.places import new_place
from support.witness import DECLARED, Case
from support.zygote import Zygote

pytestmark = [pytest.mark.fault(10), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def zygote():
    with Zygote() as made:
        yield made


@pytest.fixture
def service():
    with running(Settings(budget=None, burst=None)) as made:
        made.emulator.faults.add(Fault(kind="delay_after", operation="delete_by_ids", seconds=0.3, times=None))
        yield made


@pytest.fixture
def new_case(zygote, service, request, tmp_path):
    def make(kind):
        folder = tmp_path / "case" / "project"
        folder.mkdir(parents=True)
        return Case(zygote, service, new_place(kind, request, folder), folder)

    return make


def _all_at_once(case, count):
    children = [case.start("apply", "--auto-approve") for _ in range(count)]
    ended = [child.wait() for child in children]
    case.acknowledged += [head for each in ended for head in each.acknowledged]
    case.acknowledged = [head for head in dict.fromkeys(case.acknowledged)]  # noqa: C416 - in order, each once
    case.acknowledged.sort(key=lambda head: int(head.partition(":")[0]))
    return ended


@pytest.mark.parametrize("kind", ["file", "postgres", "seaweed"])
@pytest.mark.parametrize("count", [2, 8])
def test_one_works_and_the_others_exit_5_and_send_nothing(new_case, kind, count, cases):
    case = new_case(kind)
    ended = _all_at_once(case, count)
    codes = [each.code for each in ended]
    # One that came so late that the first had ended finds nothing left to do.
    assert 0 in codes, [each.err for each in ended]
    assert 5 in codes
    assert set(codes) == {0, 5}
    assert len({f.run for f in case.frames() if any(isinstance(e, ev.Intent) for e in f.events)}) == 1
    for each in ended:
        if each.code == 5:
            assert "the state is held by run" in each.err
            assert "reconciler state unlock" in each.err
            assert "hunter2" not in each.err
    sent = [each for _, ids in case.requests() for each in ids]
    assert len(sent) == len(set(sent)) == sum(map(len, DECLARED.values())), "an id was sent twice"
    case.check()
    case.converge()
    cases(count)


def test_the_lock_file_removed_while_it_is_held_admits_nobody(new_case):
    case = new_case("file")
    first = case.start("apply", "--auto-approve")
    lock = case.place.open().path.with_name(case.place.open().path.name + ".lock")
    while not case.requests():
        pass
    lock.unlink()
    second = case.run("apply", "--auto-approve")
    assert second.code == 5, second.err
    ended = first.wait()
    assert ended.code == 0
    case.acknowledged += ended.acknowledged
    sent = [each for _, ids in case.requests() for each in ids]
    assert len(sent) == len(set(sent))
    case.check()


@pytest.mark.parametrize("kind", ["file", "postgres", "seaweed"])
def test_who_waits_for_the_state_finds_nothing_left_to_do(new_case, kind):
    case = new_case(kind)
    first = case.start("apply", "--auto-approve")
    while not case.requests():
        pass
    second = case.run("apply", "--auto-approve", "--lock-timeout", "60")
    assert second.code == 0, second.err
    ended = first.wait()
    assert ended.code == 0
    sent = [each for _, ids in case.requests() for each in ids]
    assert len(sent) == len(set(sent))

"""kill -9 at every numbered step of an apply, and at random moments; what the world saw is the witness."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

import pytest

from reconciler.emulator import Settings, running
from support.places import new_place
from support.witness import Case
from support.zygote import Zygote

sys.path.insert(0, str(Path(__file__).parent))
from kills import IN_A_ROW, kill, measure

pytestmark = [pytest.mark.fault(1), pytest.mark.timeout(300)]

#: So many tests share the steps of a store, so that several processes can work at them.
PARTS = 4
SEED = 20261126


@pytest.fixture(scope="module")
def zygote():
    with Zygote() as made:
        yield made


@pytest.fixture(scope="module")
def service():
    with running(Settings(budget=None, burst=None)) as made:
        yield made


@pytest.fixture
def new_case(zygote, service, request, tmp_path):
    numbers = iter(range(10_000))

    def make(kind):
        folder = tmp_path / f"case-{next(numbers)}" / "project"
        folder.mkdir(parents=True)
        return Case(zygote, service, new_place(kind, request, folder), folder)

    return make


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", ["file", "postgres", "seaweed"])
def test_killed_at_any_step_it_has_lost_nothing_and_converges(new_case, kind, part, cases):
    whole = new_case(kind)
    ended = whole.apply()
    assert ended.code == 0
    assert ended.steps > 40
    killed = 0
    for step in range(1 + part, ended.steps + 1, PARTS):
        case = new_case(kind)
        died = case.apply(crash_at=step)
        if died.code == 0:
            continue  # requests overlap: a run may have a step or two fewer
        assert died.code == -signal.SIGKILL
        case.kills += 1
        killed += 1
        case.check()
        case.converge()
        assert case.place.kind == "file" or len(case.unlocked) <= 1
    assert killed > 5
    cases(killed)


@pytest.mark.parametrize(("kind", "kills"), [("file", 30), ("postgres", 10), ("seaweed", 10)])
def test_killed_at_random_moments_again_and_again_it_converges_all_the_same(new_case, kind, kills, cases):
    length, chance, hit = measure(new_case(kind)), random.Random(SEED), 0
    while hit < kills:
        hit += kill(new_case(kind), min(IN_A_ROW, kills - hit), length, chance)
    cases(hit)

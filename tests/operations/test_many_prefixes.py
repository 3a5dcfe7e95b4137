"""Thousands of declarations, prefixes and keeps of one index cost what they are, not their square."""

from __future__ import annotations

import sys

import pytest

from reconciler.errors import ExitCode
from reconciler.model import chunks, desired, idset
from reconciler.operations import recording
from reconciler.state.report import make_report

_FEW = 40


@pytest.fixture
def calls():
    """`calls(work)`: how many calls `work` makes into the modules whose cost grows with what is declared."""
    files = {module.__file__ for module in (chunks, desired, idset, recording)}

    def counted(work):
        found = 0

        def tell(frame, event, _):
            nonlocal found
            found += event == "call" and frame.f_code.co_filename in files

        before = sys.getprofile()
        sys.setprofile(tell)
        try:
            work()
        finally:
            sys.setprofile(before)
        return found

    return counted


def costs(world, calls, number):
    """Calls of an apply, of the plan after it, and of the report, for `number` entries and as many keeps."""
    world.configure(limits={"max_percent": 100})
    world.seed(f"{kind}-{n:03}/{part}" for kind in ("user", "other") for n in range(number) for part in "ab")
    entries = (
        {"index": "docs", "reason": f"r{n}", "ids": [f"doc-{n:03}"], "prefixes": [f"user-{n:03}/"]}
        for n in range(number)
    )
    keep = (
        {"index": "docs", "reason": f"k{n}", "ids": [f"user-{n:03}/a"], "prefixes": [f"other-{n:03}/"]}
        for n in range(number)
    )
    world.manifest(*entries, keep=keep)
    results = []
    made = [calls(lambda: results.append(world.apply())), calls(world.plan)]
    assert (results[0].exit_code, results[0].verified) == (ExitCode.DONE, 2 * number)
    assert world.actions() == {}
    frames = world.frames()
    return [*made, calls(lambda: make_report(frames))]


def test_twice_as_many_cost_about_twice_as_much(make_world, calls):
    worlds = make_world(), make_world()
    for world in worlds:
        world.seed(f"doc-{n:03}" for n in range(300))
    few, many = costs(worlds[0], calls, _FEW), costs(worlds[1], calls, 2 * _FEW)
    assert [after / before < 2.6 for before, after in zip(few, many, strict=True)] == [True] * 3, (few, many)

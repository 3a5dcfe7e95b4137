"""Thousands of declarations, prefixes and keeps of one index cost what they are, not their square."""

from __future__ import annotations

import sys

import pytest

from reconciler.errors import ExitCode
from reconciler.model import chunks, desired, idset, merging
from reconciler.operations import recording
from reconciler.state.report import make_report

_FEW = 40


@pytest.fixture
def calls():
    """`calls(work)`: how many calls `work` makes into the modules whose cost grows with what is declared."""
    files = {module.__file__ for module in (chunks, desired, idset, merging, recording)}

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


def test_the_report_of_entries_that_others_had_sent_does_not_look_up_every_id_for_each(world, monkeypatch):
    """Entries that were grouped anew: none of their ids was sent for them."""
    ids = [f"doc-{n:05}" for n in range(20_000)]
    world.configure(limits={"max_percent": 100, "max_deletes": 20_000})

    def declare(parts):
        world.manifest(
            *({"index": "docs", "reason": f"{parts}-{n}", "ids": ids[n::parts]} for n in range(parts)),
        )

    declare(4)
    assert world.apply().verified == len(ids)
    declare(10)
    assert world.apply().recorded == 10
    frames, searched = world.frames(), []

    def searching(*arguments):
        searched.append(1)
        return chunks.lower_bound(*arguments)

    monkeypatch.setattr(merging, "lower_bound", searching)
    made = make_report(frames, reason="10-")
    assert [len(each.shared) for each in made.declarations][4:] == [2_000] * 6
    assert [sum(mutation.ids for mutation in each.mutations) for each in made.declarations][4:] == [2_000] * 6
    assert len(searched) < len(ids)

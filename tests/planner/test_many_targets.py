"""Thousands of small indexes in one plan: what is the same for all of them is asked once."""

from __future__ import annotations

import pytest

from reconciler.model.diagnostic import note
from reconciler.model.tombstones import Status


class Counted(dict):
    """A mapping that counts how often somebody goes through its values."""

    walks = 0

    def values(self):
        self.walks += 1
        return super().values()


class Told(tuple):
    """Diagnostics that count how often somebody goes through them."""

    __slots__ = ()
    walks = 0

    def __iter__(self):
        Told.walks += 1
        return super().__iter__()


@pytest.fixture(autouse=True)
def _fresh():
    Told.walks = 0


def _plan_of(build, indexes: int):
    names = [f"index-{number:03}" for number in range(indexes)]
    records = [build.record({Status.VERIFIED: ["x"]}, number=n, index=name) for n, name in enumerate(names, 1)]
    targets = Counted({record.number: record for record in records})
    lapsed = Told(note("lapsed", f"told of {name}") for name in names)
    declared = [build.declaration("x", "y", index=name) for name in names]
    return build.plan(build.desired(*declared, diagnostics=lapsed), build.state(targets=targets)), targets


def test_going_through_what_is_remembered_or_told_does_not_grow_with_the_number_of_indexes(build):
    counts = []
    for indexes in (3, 40):
        Told.walks = 0
        plan, targets = _plan_of(build, indexes)
        assert plan.summary.delete == indexes
        counts.append((targets.walks, Told.walks))
    assert counts[0] == counts[1]


def test_each_index_is_planned_as_if_it_were_alone(build):
    many, _ = _plan_of(build, 40)
    for index in many.indexes:
        name = index.target.index
        alone = build.plan(
            build.desired(build.declaration("x", "y", index=name)),
            build.state(build.record({Status.VERIFIED: ["x"]}, index=name)),
        )
        assert alone.indexes == (index,)


def test_a_name_that_was_deleted_from_before_it_was_created_again_is_no_first(build):
    state = build.state(
        build.record({Status.VERIFIED: "x"}, number=1, created_on="2025-01-01T00:00:00Z", closed=True),
        build.record({}, number=2),
    )
    plan = build.plan(build.desired(build.declaration("x")), state)
    assert plan.summary.delete == 1
    assert not [each for each in plan.diagnostics if each.code == "first-deletion"]

"""What a reviewer must see first: each warning has a stable name, and the worst comes first."""

from __future__ import annotations

import pytest

from reconciler.model.diagnostic import error, note, warning
from reconciler.model.limits import IndexLimits, Limits
from reconciler.model.tombstones import BatchRecord, Status
from reconciler.planner.review import REVIEW_CODES, worst_first

ALL = "abcdefghij"


def named(plan):
    return [d.code for d in plan.diagnostics if d.code in REVIEW_CODES]


def said(plan, code):
    (found,) = [d for d in plan.diagnostics if d.code == code]
    assert found.severity == "warning"
    assert found.detail
    return found.summary


# first-deletion


def test_the_first_deletion_on_an_index_is_named(build):
    plan = build.plan(build.desired(build.declaration("x", "y")))
    assert (
        said(plan, "first-deletion")
        == f"{build.target()}: the first deletion on this index that the state knows of"
    )


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.UNRESOLVED])
def test_an_index_from_which_something_was_deleted_is_no_first(build, status):
    state = build.state(build.record({status: "x"}))
    assert "first-deletion" not in named(build.plan(build.desired(build.declaration("x", "y")), state))


def test_an_attempt_of_which_nobody_knows_the_outcome_is_still_a_first(build):
    state = build.state(build.record({Status.UNRESOLVED: "x"}))
    assert "first-deletion" in named(build.plan(build.desired(build.declaration("x")), state))


def test_a_deletion_on_another_index_of_the_same_state_does_not_count(build):
    state = build.state(build.record({Status.VERIFIED: "x"}, index="notes"))
    plan = build.plan(build.desired(build.declaration("x"), build.declaration("x", index="notes")), state)
    assert named(plan) == ["first-deletion"]
    assert str(build.target()) in said(plan, "first-deletion")


def test_an_index_that_was_created_again_is_no_first_but_named_as_what_it_is(build):
    state = build.state(build.record({Status.VERIFIED: "x"}))
    plan = build.plan(build.desired(build.declaration("x")), state, build.look("x", created_on="2026-09-09"))
    assert named(plan) == ["index-recreated"]


def test_a_closed_record_of_the_same_index_counts_as_a_deletion(build):
    batch = BatchRecord(1, 1, "run", (), 1, "2026-02-02T00:00:00Z", accepted=2)
    closed = build.changed(build.record({}, closed=True), batches=(batch,))
    assert "first-deletion" not in named(build.plan(build.desired(build.declaration("x")), build.state(closed)))


def test_a_plan_that_sends_nothing_to_an_index_is_no_first_deletion(build):
    plan = build.plan(build.desired(build.declaration("x")), None, build.look(asked="x"))
    assert plan.summary.already_absent == 1
    assert named(plan) == []


# mass-release


@pytest.mark.parametrize(("left", "over"), [(7, False), (6, True)])
def test_a_release_of_more_than_max_percent_of_an_index_is_named(build, left, over):
    state = build.state(build.record({Status.VERIFIED: ALL}))
    plan = build.plan(build.desired(build.declaration(*ALL[:left])), state)
    assert ("mass-release" in named(plan)) is over
    if over:
        assert said(plan, "mass-release") == f"[{build.target()}] Many releases, 40.00 % is over 30 % (4/10)"
        assert plan.applyable  # it warns; a release deletes nothing


def test_released_ids_of_long_ago_are_no_part_of_the_measure(build):
    state = build.state(build.record({Status.VERIFIED: "abcde", Status.RELEASED: "vwxyz"}))
    plan = build.plan(build.desired(build.declaration(*"abc")), state)
    assert "40.00 % is over 30 % (2/5)" in said(plan, "mass-release")


def test_each_index_has_its_own_measure(build):
    state = build.state(build.record({Status.VERIFIED: ALL}))
    limits = Limits(per_index={"articles": IndexLimits(100, 90.0)})
    assert named(build.plan(build.desired(build.declaration("a", "b")), state, limits=limits)) == []
    assert "mass-release" in named(build.plan(build.desired(build.declaration("a", "b")), state))


# nothing-declared


def test_an_emptied_folder_is_named_with_what_the_state_remembers(build):
    state = build.state(build.record({Status.VERIFIED: ALL}))
    plan = build.plan(build.desired(), state)
    assert named(plan) == ["nothing-declared", "mass-release"]
    assert said(plan, "nothing-declared") == "nothing is declared, but the state remembers 10 ids of 1 index"


@pytest.mark.parametrize("statuses", [{}, {Status.RELEASED: ALL}])
def test_nothing_declared_and_nothing_remembered_is_nothing_to_say(build, statuses):
    assert named(build.plan(build.desired(), build.state(build.record(statuses)))) == []
    assert named(build.plan(build.desired())) == []


def test_lapsed_declarations_are_no_emptied_folder(build):
    state = build.state(build.record({Status.VERIFIED: ALL}))
    plan = build.plan(build.desired(lapsed=[build.declaration(*ALL)]), state)
    assert "nothing-declared" not in named(plan)


def test_planning_a_part_that_declares_nothing_does_not_speak_for_the_rest(build):
    state = build.state(build.record({Status.VERIFIED: ALL}))
    assert named(build.plan(build.desired(scope=("other",)), state)) == []


def test_manifests_that_cannot_be_read_are_not_called_empty(build):
    state = build.state(build.record({Status.VERIFIED: ALL}))
    broken = build.desired(diagnostics=(error("yaml-syntax", "broken"),))
    assert named(build.plan(broken, state)) == []
    gone = build.desired(diagnostics=(error("no-manifests", "the folder holds no manifests"),))
    assert "nothing-declared" in named(build.plan(gone, state))


def test_a_narrowed_plan_speaks_of_its_index_alone(build):
    state = build.state(build.record({Status.VERIFIED: ALL}))
    assert "nothing-declared" not in named(build.plan(build.desired(), state, only="notes"))


# The order


def test_the_worst_comes_first_and_the_rest_as_it_was_noticed():
    given = [
        note("n", "n"),
        warning("z", "z"),
        warning("first-deletion", "f"),
        warning("index-recreated", "i"),
        warning("a", "a"),
        warning("nothing-declared", "d"),
        warning("mass-release", "m"),
        error("e", "e"),
    ]
    assert [d.code for d in worst_first(given)] == [
        "e", "nothing-declared", "index-recreated", "mass-release", "first-deletion", "z", "a", "n",
    ]  # fmt: skip


def test_a_plan_tells_the_worst_first(build):
    state = build.state(build.record({Status.VERIFIED: ALL}))
    desired = build.desired(build.declaration(*ALL[:2], "new"), diagnostics=(warning("id-spaces", "x"),))
    plan = build.plan(desired, state, limits=Limits(max_deletes=0))
    assert [str(d.severity) for d in plan.diagnostics] == sorted(
        (str(d.severity) for d in plan.diagnostics), key=["error", "refusal", "warning", "note"].index
    )
    assert [d.code for d in plan.diagnostics if d.severity == "warning"] == ["mass-release", "id-spaces"]

"""Limits, keeps and mismatches: what forbids a plan."""

from __future__ import annotations

import pytest

from reconciler.model.diagnostic import error
from reconciler.model.limits import IndexLimits, Limits
from reconciler.model.tombstones import Status


def names(count, letter="x"):
    return [f"{letter}{number:04d}" for number in range(count)]


def refusals(plan):
    return [
        (d.code, d.summary.partition("]")[0].removeprefix("["))
        for d in plan.diagnostics
        if d.severity == "refusal"
    ]


@pytest.mark.parametrize("sent", [0, 1, 5])
def test_exactly_at_the_limit_passes(build, sent):
    plan = build.plan(build.desired(build.declaration(*names(sent), "again")), limits=Limits(max_deletes=sent + 1))
    assert refusals(plan) == []
    assert plan.applyable


def test_one_over_the_limit_refuses_everything_and_still_shows_it(build):
    plan = build.plan(build.desired(build.declaration(*names(6))), limits=Limits(max_deletes=5))
    assert [code for code, _ in refusals(plan)] == ["max-deletes", "max-deletes"]
    assert plan.refused
    assert not plan.errored
    assert not plan.applyable
    assert set(build.fates(plan)) == set(names(6))
    assert plan.summary.delete == 6
    assert plan.summary.requests == 1


def test_a_limit_of_nothing_lets_nothing_be_sent(build):
    limits = Limits(max_deletes=0)
    assert build.plan(build.desired(build.declaration("x")), limits=limits).refused
    waiting = build.state(build.record({Status.ACCEPTED: "x", Status.VERIFIED: "y"}))
    assert not build.plan(build.desired(build.declaration("x", "y")), waiting, limits=limits).refused


def test_deletes_resends_and_reappeared_ids_count_together(build):
    state = build.state(
        build.record({Status.UNRESOLVED: "a", Status.REAPPEARED: "b", Status.ACCEPTED: "c", Status.VERIFIED: "d"})
    )
    desired = build.desired(build.declaration(*"abcde"))
    assert not build.plan(desired, state, limits=Limits(max_deletes=3)).refused
    assert build.plan(desired, state, limits=Limits(max_deletes=2)).refused


def test_the_whole_plan_has_the_limit_too(build):
    desired = build.desired(build.declaration(*names(3)), build.declaration(*names(3), index="notes"))
    plan = build.plan(desired, limits=Limits(max_deletes=5))
    assert refusals(plan) == [("max-deletes", "whole plan")]
    assert not build.plan(desired, limits=Limits(max_deletes=6)).refused


def test_an_override_tightens_one_index_alone(build):
    desired = build.desired(build.declaration(*names(3)), build.declaration(*names(3), index="notes"))
    limits = Limits(max_deletes=100, per_index={"notes": IndexLimits(2, 30.0)})
    plan = build.plan(desired, limits=limits)
    assert refusals(plan) == [("max-deletes", str(build.target("notes")))]
    assert plan.limits == {
        "*": {"max_deletes": 100},
        "articles": {"max_deletes": 100, "max_percent": 30.0},
        "notes": {"max_deletes": 2, "max_percent": 30.0},
    }


def test_an_override_never_lifts_the_limit_of_the_whole_plan(build):
    limits = Limits(max_deletes=5, per_index={"articles": IndexLimits(100, 30.0)})
    plan = build.plan(build.desired(build.declaration(*names(6))), limits=limits)
    assert refusals(plan) == [("max-deletes", "whole plan")]


@pytest.mark.parametrize(("present", "refused"), [(30, False), (31, True)])
def test_percent_is_of_the_ids_found_present(build, present, refused):
    ids = names(60)
    plan = build.plan(
        build.desired(build.declaration(*ids)), None, build.look(*ids[:present], asked=ids, live_count=100)
    )
    assert plan.indexes[0].percent == pytest.approx(present)
    assert plan.indexes[0].live_count == 100
    assert plan.summary.delete == present
    assert plan.refused is refused
    assert ("max-percent" in [code for code, _ in refusals(plan)]) is refused
    assert "note: percent-not-checked" not in build.codes(plan)


def test_percent_of_an_index_has_its_override(build):
    limits = Limits(per_index={"articles": IndexLimits(100, 5.0)})
    look = build.look(*names(6), live_count=100)
    assert build.plan(build.desired(build.declaration(*names(6))), None, look, limits=limits).refused
    assert not build.plan(build.desired(build.declaration(*names(5))), None, look, limits=limits).refused


@pytest.mark.parametrize("live_count", [None, 0, 60, 99])
def test_percent_of_a_small_or_unread_index_is_not_checked_and_the_plan_says_so(build, live_count):
    ids = names(60)
    plan = build.plan(build.desired(build.declaration(*ids)), None, build.look(*ids, live_count=live_count))
    assert plan.indexes[0].percent is None
    assert not plan.refused
    (said,) = [d for d in plan.diagnostics if d.code == "percent-not-checked"]
    assert (said.severity, said.summary) == ("note", "percent: not checked")
    assert str(build.target()) in said.detail


def test_an_offline_plan_says_that_percent_was_not_checked(build):
    plan = build.plan(build.desired(build.declaration("x")))
    assert "note: percent-not-checked" in build.codes(plan)
    idle = build.plan(build.desired(build.declaration("x")), build.state(build.record({Status.VERIFIED: "x"})))
    assert idle.diagnostics == ()


def test_an_index_that_was_not_looked_at_is_named_among_the_unchecked(build):
    desired = build.desired(build.declaration("x"), build.declaration("y", index="notes"))
    plan = build.plan(desired, None, build.look("x", live_count=1000))
    (said,) = [d for d in plan.diagnostics if d.code == "percent-not-checked"]
    assert str(build.target("notes")) in said.detail
    assert str(build.target("articles")) not in said.detail


# Keeps


def test_an_explicit_id_under_a_keep_refuses_the_whole_plan(build):
    desired = build.desired(
        build.declaration("x", "y"), build.declaration("z", index="notes"), keeps=[build.keep("x")]
    )
    plan = build.plan(desired)
    assert refusals(plan) == [("kept-ids", str(build.target()))]
    assert build.fates(plan) == {"x": "x kept", "y": "- new", "z": "- new"}
    assert not plan.applyable


def test_what_a_prefix_matches_and_a_keep_protects_is_cut_out_and_counted(build):
    desired = build.desired(
        build.declaration(prefixes=["user/"]), keeps=[build.keep("user/2", prefixes=["user/3"])]
    )
    look = build.look(matches={"user/": ["user/1", "user/2", "user/3", "user/31"]})
    plan = build.plan(desired, None, look)
    assert build.fates(plan) == {"user/1": "- new"}
    assert plan.indexes[0].kept == 3
    assert not plan.refused
    assert plan.applyable


def test_a_keep_of_another_index_or_account_protects_nothing_here(build):
    keeps = [build.keep("x", index="notes"), build.keep("x", account="b" * 32)]
    assert not build.plan(build.desired(build.declaration("x"), keeps=keeps)).refused


# Mismatches and narrowing


def test_a_rehearsal_never_counts_as_production(build):
    state = build.state(build.record({Status.VERIFIED: "x"}), origin="loopback")
    plan = build.plan(build.desired(build.declaration("x")), state)
    assert "error: origin-mismatch" in build.codes(plan)
    assert plan.errored
    assert not plan.applyable


def test_a_state_without_a_run_is_pinned_to_no_origin(build):
    assert build.codes(build.plan(build.desired(), build.state(origin=None))) == []


def test_records_of_another_origin_are_never_released(build):
    state = build.state(build.record({Status.VERIFIED: "x"}))
    plan = build.plan(build.desired(), state, origin="loopback")
    assert plan.indexes == ()


@pytest.mark.parametrize("named_by", ["environment", "manifest", "config"])
def test_an_account_from_the_environment_never_overrules_the_state(build, named_by):
    elsewhere = build.declaration("x", account="b" * 32, account_from=named_by)
    plan = build.plan(build.desired(elsewhere), build.state(build.record({Status.VERIFIED: "y"})))
    assert plan.errored is (named_by == "environment")
    assert ("error: account-mismatch" in build.codes(plan)) is (named_by == "environment")
    for said in (d for d in plan.diagnostics if d.code == "account-mismatch"):
        assert said.position == elsewhere.position
        assert "a" * 32 in said.summary
        assert "b" * 32 in said.summary


def test_an_account_the_state_knows_or_an_index_it_does_not_know_is_no_mismatch(build):
    state = build.state(build.record({Status.VERIFIED: "y"}))
    for declaration in (
        build.declaration("y", account_from="environment"),
        build.declaration("x", account="b" * 32, index="new", account_from="environment"),
    ):
        assert "error: account-mismatch" not in build.codes(build.plan(build.desired(declaration), state))


def test_narrowing_is_said_and_leaves_the_plan_incomplete(build):
    desired = build.desired(build.declaration("x"), build.declaration("y", index="notes"))
    plan = build.plan(desired, only="notes")
    assert build.fates(plan) == {"y": "- new"}
    assert "warning: narrowed" in build.codes(plan)
    assert not plan.complete
    assert plan.applyable
    assert build.plan(desired).complete


def test_narrowing_to_what_nobody_knows_is_an_error(build):
    plan = build.plan(build.desired(build.declaration("x")), only="artciles")
    assert "error: target-unknown" in build.codes(plan)
    assert plan.errored
    assert plan.indexes == ()


def test_narrowing_to_an_index_that_only_the_state_knows_works(build):
    plan = build.plan(build.desired(), build.state(build.record({Status.VERIFIED: "x"})), only="articles")
    assert not plan.errored
    assert build.fates(plan) == {"x": ". undeclared"}


def test_what_the_loader_noticed_stays_in_the_plan(build):
    plan = build.plan(build.desired(build.declaration("x"), diagnostics=(error("duplicate-key", "twice"),)))
    assert build.codes(plan)[0] == "error: duplicate-key"
    assert plan.errored
    assert not plan.applyable


# What a refusal says: scope, measured, limit, raw counts and the way out, in one line


def lines(plan):
    return [d.summary for d in plan.diagnostics if d.severity == "refusal"]


def test_too_many_deletes_are_told_in_one_line(build):
    state = build.state(build.record({Status.VERIFIED: names(4, "old")}))
    desired = build.desired(build.declaration(*names(6), *names(4, "old")))
    plan = build.plan(desired, state, limits=Limits(max_deletes=5))
    assert lines(plan) == [
        (
            f"[{build.target()}] Too many deletes, 6 ids is over 5 (6/10 declared): if this is meant, raise "
            "indexes.articles.max_deletes in reconciler.yaml, where it is reviewed"
        ),
        (
            "[whole plan] Too many deletes, 6 ids is over 5 (6/10 declared): if this is meant, raise "
            "limits.max_deletes in reconciler.yaml, where it is reviewed"
        ),
    ]


def test_too_much_of_an_index_is_told_with_the_raw_counts(build):
    ids = names(175)
    plan = build.plan(build.desired(build.declaration(*ids)), None, build.look(*ids, live_count=300))
    assert lines(plan) == [
        (
            f"[{build.target()}] Too many deletes, 58.33 % is over 30 % (175/300 vectors): if this is meant, raise "
            "indexes.articles.max_percent in reconciler.yaml, where it is reviewed"
        ),
    ]


def test_kept_ids_are_told_in_one_line_and_no_limit_is_offered_as_a_way_out(build):
    plan = build.plan(build.desired(build.declaration("x", "y"), keeps=[build.keep("x")]))
    assert lines(plan) == [
        (
            f"[{build.target()}] Kept ids, 1 declared id is protected by a keep, 0 may be (1/2 declared): take them "
            "out, or remove the keep"
        ),
    ]

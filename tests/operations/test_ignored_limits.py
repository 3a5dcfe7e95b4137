"""Passing over a limit is an act of one person for one run, and never hides from the operations below it."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode, PlanRefused, PlanStale, UsageError
from reconciler.state import events as ev


@pytest.fixture
def over(world, ids):
    world.configure(limits={"max_deletes": 2})
    world.declare(ids(3))
    return world


def test_the_next_apply_is_refused_again(over, ids):
    over.apply(approve=lambda _: True, dangerous_ignore_limits=lambda: "r")
    over.declare(ids(6))
    with pytest.raises(PlanRefused):
        over.apply()


def test_without_somebody_who_was_shown_the_plan_it_is_an_error(over):
    with pytest.raises(UsageError, match="shown the plan"):
        over.apply(dangerous_ignore_limits=lambda: "r")
    assert over.requests() == []


def test_a_saved_or_an_expected_plan_keeps_its_limits(over, ids):
    saved = over.save()
    for options in ({"saved": saved}, {"expect": saved.plan.fingerprint}):
        with pytest.raises(UsageError, match="saved or an expected"):
            over.apply(approve=lambda _: True, dangerous_ignore_limits=lambda: "r", **options)
    assert over.requests() == []


def test_the_reason_is_asked_for_after_the_plan_was_approved_and_only_once(over):
    order = []

    def approve(planned):
        order.append(("approve", planned.plan.refused))
        return True

    def why():
        order.append("why")
        return "r"

    assert over.apply(approve=approve, dangerous_ignore_limits=why).exit_code is ExitCode.DONE
    assert order == [("approve", True), "why"]


def test_more_than_was_shown_is_never_sent(over, ids):
    """The state changes while the person reads: what they pass over a limit for is what they saw."""
    over.configure()
    over.apply()
    over.configure(limits={"max_deletes": 2})
    over.declare(ids(6))

    def approve(_):
        over.seed(["doc-001"])
        inner = over.interrupts
        over.verify(audit=True)
        over.interrupts = inner
        return True

    with pytest.raises(PlanStale, match="changed"):
        over.apply(approve=approve, dangerous_ignore_limits=lambda: "r")
    assert len(over.deletes()) == 1
    assert over.events(ev.LimitsIgnored) == []


def test_a_limit_that_nobody_was_shown_is_not_passed_over(world, ids):
    """20 % when it was approved, 40 % when the run begins: nobody said why that may be."""
    world.declare(ids(20, 250), name="other.yaml")
    world.apply("manifests/other.yaml")
    world.declare(ids(60))

    def approve(planned):
        assert not planned.plan.refused
        inner = world.interrupts
        world.emulator.remove(world.account, "docs", ids(150, 100))
        world.verify(audit=True)
        world.interrupts = inner
        world.emulator.clear_record()
        return True

    with pytest.raises(PlanRefused, match="changed"):
        world.apply(
            "manifests/gdpr.yaml", approve=approve, refresh=True, dangerous_ignore_limits=lambda: "not asked"
        )
    assert world.deletes() == []
    assert world.events(ev.LimitsIgnored) == []


def test_an_interrupted_run_that_passed_over_a_limit_does_not_pass_it_on(over, ids):
    over.configure(limits={"max_deletes": 2}, api={"concurrency": 1, "batch_size": 1})
    over.declare(ids(5))
    over.on_delete(lambda _: over.interrupts.request())
    over.apply(approve=lambda _: True, dangerous_ignore_limits=lambda: "r")
    over.bridge.before.clear()
    assert len(over.deletes()) == 1
    with pytest.raises(PlanRefused):
        over.apply()


def test_the_fold_remembers_who_why_and_which(over):
    over.apply(approve=lambda _: True, dangerous_ignore_limits=lambda: " PRIV-9 \n")
    (found,) = over.state.limits_ignored
    assert found.why == "PRIV-9"
    assert " on " in found.who
    assert found.run == over.state.runs[-1].run
    assert found.at == over.state.runs[-1].started_at
    assert len(found.limits) == 2


def test_a_log_of_before_there_was_a_list_of_limits_is_read(over):
    event = ev.decode({"kind": "limits_ignored", "who": "alice", "why": "r"})
    assert event == ev.LimitsIgnored("alice", "r")
    assert ev.encode(event) == {"kind": "limits_ignored", "who": "alice", "why": "r"}


def test_a_keep_is_no_limit(over, ids):
    over.manifest(keep=[{"index": "docs", "reason": "hold", "ids": ids(1)}], name="hold.yaml")
    with pytest.raises(PlanRefused):
        over.apply(approve=lambda _: True, dangerous_ignore_limits=lambda: "r")
    assert over.requests() == []


@pytest.mark.parametrize("why", ["", " \n", "\u200b\x07"])
def test_without_a_reason_nothing_is_sent(over, why):
    with pytest.raises(UsageError, match="no reason"):
        over.apply(approve=lambda _: True, dangerous_ignore_limits=lambda: why)
    assert over.requests() == []
    assert not over.state_path.exists()

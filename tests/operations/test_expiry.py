"""A plan that expired is not begun; what was begun is finished."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.errors import ExitCode, PlanFileError, PlanStale
from reconciler.planfile import decode, encode

HOUR = 3600.0


def expiring(world, hours=24.0, **options):
    """A plan that went through a file, and expires."""
    planned = world.plan(**options)
    now = world.clock.now()
    chunks = encode(planned.plan, tool_version="0", created_at=now, expires_at=now + timedelta(hours=hours))
    return decode("".join(chunks).encode(), path="p.json")


@pytest.fixture
def slow(world):
    world.configure(api={"concurrency": 1, "batch_size": 3})
    return world


def interrupt_at(world, number):
    seen = []

    def interrupt(ids):
        seen.append(ids)
        if len(seen) == number:
            world.interrupts.request()

    world.on_delete(interrupt)


def test_a_plan_is_carried_out_until_the_moment_it_expires(world, ids):
    world.declare(ids(3))
    saved = expiring(world)
    world.clock.advance(24 * HOUR - 0.001)
    assert world.apply(saved=saved).exit_code is ExitCode.DONE


@pytest.mark.fault(26)
@pytest.mark.parametrize("late", [0.0, 1.0, 100 * 24 * HOUR])
def test_an_expired_plan_is_refused_with_both_moments(world, ids, late):
    world.declare(ids(3))
    saved = expiring(world)
    world.clock.advance(24 * HOUR + late)
    with pytest.raises(PlanStale, match=r"the plan expired at 2026-11-23T12:00:00.000Z, it is .* now") as refused:
        world.apply(saved=saved)
    assert refused.value.exit_code is ExitCode.STALE
    assert "Plan again" in refused.value.hint
    assert world.requests() == []
    assert not world.state_path.exists()


@pytest.mark.fault(26)
def test_an_expired_plan_file_no_longer_approves_a_fingerprint(world, ids):
    world.declare(ids(3))
    saved = expiring(world)
    world.clock.advance(25 * HOUR)
    with pytest.raises(PlanStale, match="expired"):
        world.apply(expect=saved.plan.fingerprint, approved=saved)
    assert world.requests() == []
    assert (
        world.apply(expect=saved.plan.fingerprint).exit_code is ExitCode.DONE
    )  # the fingerprint alone has no time


def test_the_fingerprint_does_not_cover_when_a_plan_expires(world, ids):
    world.declare(ids(3))
    saved = expiring(world)
    assert saved.plan.fingerprint == world.plan().plan.fingerprint
    moved = replace(saved, expires_at=None)
    world.clock.advance(25 * HOUR)
    assert world.apply(saved=moved).exit_code is ExitCode.DONE


@pytest.mark.parametrize("by", ["file", "fingerprint"])
def test_an_apply_that_was_interrupted_is_finished_though_its_plan_expired_since(slow, ids, by):
    slow.declare(ids(9))
    saved = expiring(slow)
    options = {"saved": saved} if by == "file" else {"expect": saved.plan.fingerprint, "approved": saved}
    interrupt_at(slow, 1)
    assert slow.apply(**options).exit_code is ExitCode.INTERRUPTED
    slow.bridge.before.clear()
    slow.clock.advance(48 * HOUR)
    assert slow.apply(**options).exit_code is ExitCode.DONE
    assert sorted(each for entry in slow.deletes() for each in entry.ids) == ids(9)


@pytest.mark.fault(26)
def test_a_run_that_never_sent_anything_has_not_begun(world, ids):
    """Its token was refused: nothing of the approved work was done in time, so none of it is done late."""
    world.declare(ids(3))
    saved = expiring(world)
    world.emulator.delete_index(world.account, "docs")
    world.apply(saved=saved)
    assert world.state.runs[-1].outcome == "failed"
    world.seed(ids(3))
    world.clock.advance(25 * HOUR)
    with pytest.raises(PlanStale, match="expired"):
        world.apply(saved=saved)
    assert world.deletes() == []


@pytest.mark.fault(26)
def test_a_plan_that_was_carried_out_to_its_end_expires_too(world, ids):
    world.declare(ids(3))
    saved = expiring(world)
    world.apply(saved=saved)
    world.clock.advance(25 * HOUR)
    with pytest.raises(PlanStale, match="expired"):
        world.apply(saved=saved)


@pytest.mark.fault(26)
def test_a_plan_that_expires_while_it_waits_for_another_run_is_not_begun(world, ids):
    world.declare(ids(3))
    saved = expiring(world, hours=0.01)

    def approve(_):
        world.clock.advance(60)
        inner = world.interrupts
        world.declare(ids(1, 50), name="other.yaml")
        world.apply("manifests/other.yaml")
        (world.root / "manifests/other.yaml").unlink()
        world.interrupts = inner
        return True

    with pytest.raises(PlanStale, match="expired"):
        world.apply(saved=saved, approve=approve)
    assert len(world.deletes()) == 1


@pytest.mark.parametrize("wrong", ["tomorrow", "2026-11-23", "2026-11-23T12:00:00", "0001-01-01T00:00:00+23:00"])
def test_a_moment_that_is_none_is_refused(world, ids, wrong):
    world.declare(ids(3))
    document = {**json.loads(world.plan_bytes()), "expires_at": wrong}
    with pytest.raises(PlanFileError, match="expires_at: not a date and time with a zone"):
        decode(json.dumps(document).encode(), path="p.json")


@pytest.mark.parametrize("wrong", [7, None, True, [], {}])
def test_what_is_no_text_is_no_moment(world, ids, wrong):
    world.declare(ids(3))
    document = {**json.loads(world.plan_bytes()), "expires_at": wrong}
    with pytest.raises(PlanFileError, match="expires_at"):
        decode(json.dumps(document).encode(), path="p.json")


def test_a_plan_that_does_not_expire_says_nothing_of_it(world, ids):
    world.declare(ids(3))
    assert "expires_at" not in json.loads(world.plan_bytes())
    assert world.save().expires_at is None


@pytest.mark.fault(26)
def test_the_file_of_another_plan_does_not_pass_for_the_approved_one(world, ids):
    world.declare(ids(2))
    other = world.save()
    world.declare(ids(3))
    with pytest.raises(PlanStale, match="is of another one"):
        world.apply(expect=world.plan().plan.fingerprint, approved=other)
    assert world.requests() == []


@pytest.mark.fault(26)
def test_an_approved_file_that_was_altered_shows_no_differences_of_its_own_making(world, ids):
    world.declare(ids(3))
    document = json.loads(world.plan_bytes())
    (index,) = document["indexes"]
    index["actions"][0]["ids"] = ids(2)
    index["summary"]["delete"] = document["summary"]["delete"] = 2
    forged = decode(json.dumps(document).encode(), path="p.json")
    world.declare(ids(4))
    with pytest.raises(PlanFileError, match="does not agree with its own fingerprint"):
        world.apply(expect=forged.plan.fingerprint, approved=forged)
    assert world.requests() == []

"""What is no longer declared, and by whom."""

from __future__ import annotations

import random

import pytest

from reconciler.errors import ExitCode, PlanStale
from reconciler.model.idset import IdSet
from reconciler.model.tombstones import Status
from reconciler.operations.execution import release_events
from reconciler.state import events as ev
from reconciler.state.journal import Journal
from reconciler.state.run import Run
from reconciler.state.stores.file import FileStore


def test_what_is_no_longer_declared_is_released_and_can_be_declared_again(world, ids):
    world.declare(ids(5))
    world.apply()
    world.declare(ids(3))
    result = world.apply()
    assert (result.exit_code, result.released) == (ExitCode.DONE, 2)
    assert world.ids(Status.RELEASED) == ids(2, 3)
    assert world.actions() == {}
    world.seed(ids(2, 3))
    assert world.verify(audit=True).exit_code is ExitCode.DONE  # nobody cares any more
    world.declare(ids(5))
    assert world.actions() == {"-": ids(2, 3)}
    assert world.apply().exit_code is ExitCode.DONE
    assert world.ids(Status.VERIFIED) == ids(5)
    assert world.ids(Status.RELEASED) == []


def test_planning_a_part_of_the_manifests_never_releases_the_rest(world, ids):
    world.declare(ids(3))
    world.declare(ids(3, 10), name="b.yaml")
    world.apply()
    (world.root / "manifests/b.yaml").unlink()
    assert world.actions("manifests/gdpr.yaml") == {}
    world.apply("manifests/gdpr.yaml")
    assert world.ids(Status.RELEASED) == []
    assert world.apply().released == 3
    assert world.ids(Status.RELEASED) == ids(3, 10)


def test_an_apply_with_nothing_but_releases_needs_no_request(world, ids):
    world.declare(ids(5))
    world.apply()
    world.declare(ids(1))
    world.emulator.clear_record()
    assert world.apply().released == 4
    assert world.requests() == []
    assert world.events(ev.RunFinished)[-1].counts["released"] == 4


def test_an_apply_with_nothing_but_waiting_ids_settles_them(busy, ids):
    busy.declare(ids(5))
    busy.apply(wait=False)
    assert busy.actions() == {"~": ids(5)}
    sent = len(busy.deletes())
    result = busy.apply()
    assert (result.exit_code, result.verified, result.accepted) == (ExitCode.DONE, 5, 0)
    assert len(busy.deletes()) == sent


def test_releasing_whole_batches_names_them_and_parts_name_the_ids(world, ids):
    world.configure(api={"batch_size": 4})
    world.declare(ids(12))
    world.apply()
    world.declare(ids(6))
    world.apply()
    released = world.events(ev.Released)
    assert [[list(r) for r in e.batches] for e in released] == [[[3, 3]], []]
    assert [list(e.ids) for e in released] == [[], ids(2, 6)]
    assert world.ids(Status.RELEASED) == ids(6, 6)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_history_the_ids_have_exactly_the_released_ones_are_released(make_world, ids, seed):
    """Batches superseded, partly released, proven one by one: the events and the projection agree."""
    chance = random.Random(seed)
    world = make_world()
    world.seed(ids(12))
    world.configure(api={"batch_size": 3})
    for _ in range(5):
        world.declare(chance.sample(ids(12), chance.randint(1, 11)))
        if chance.random() < 0.4:
            world.fault("null_mutation", times=5, nth=chance.randint(1, 3))
        world.apply(refresh=chance.random() < 0.3)
        world.emulator.faults.clear()
        if chance.random() < 0.5:
            world.seed(chance.sample(ids(12), 3))
            world.verify(audit=True)
    record = world.record()
    held = IdSet.union(record.by_status.values())
    released = IdSet.of(chance.sample(list(held), len(held) // 2)) - record.ids(Status.RELEASED)
    before = {status: record.ids(status) for status in Status}
    with_events = list(release_events(record, released, "undeclared"))
    journal = Journal(FileStore(world.state_path), world.clock)
    run, _ = Run.start(
        journal, world.clock, command="apply", origin="loopback", fingerprint="", prepare=lambda _: None
    )
    if with_events:
        run.append(with_events)
    run.finish("done")
    after = world.record()
    assert after.ids(Status.RELEASED) == before[Status.RELEASED] | released
    for status in Status:
        if status is not Status.RELEASED:
            assert after.ids(status) == before[status] - released


def test_ids_that_lapsed_verified_are_released_and_unverified_ones_keep_waiting(busy, ids):
    busy.manifest({"index": "docs", "reason": "r", "ids": ids(5), "until": "2026-11-24"})
    busy.apply(wait=False)
    busy.clock.advance(3 * 86_400)
    assert busy.actions() == {"~": ids(5)}
    result = busy.apply()
    assert (result.exit_code, result.released) == (ExitCode.DONE, 0)
    assert busy.ids(Status.VERIFIED) == ids(5)
    assert busy.actions() == {".": ids(5)}
    assert busy.apply().released == 5
    assert [event.reason for event in busy.events(ev.Released)] == ["lapsed"]
    assert busy.actions() == {}


def test_releases_that_nobody_approved_are_not_made(world, ids):
    world.declare(ids(2), name="a.yaml")
    world.declare(ids(2, 5), name="b.yaml")
    world.apply()
    world.declare(ids(3), name="a.yaml")

    def approve(_):
        (world.root / "manifests/b.yaml").unlink()
        world.verify(audit=True)
        return True

    with pytest.raises(PlanStale, match="more would be deleted or released"):
        world.apply(approve=approve)
    assert world.events(ev.Released) == []
    assert len(world.deletes()) == 1


@pytest.mark.parametrize("decision", ["a later until", "no declaration any more"])
def test_an_id_that_lapsed_without_an_answer_stays_until_a_person_decides(world, ids, decision):
    world.manifest({"index": "docs", "reason": "r", "ids": ids(3), "until": "2026-11-24"})
    world.fault("drop_after", times=None)
    assert world.apply().unknown == 3
    world.emulator.faults.clear()
    world.clock.advance(3 * 86_400)
    sent = len(world.deletes())
    assert world.actions() == {"x": ids(3)}
    assert "lapsed-unknown" in {each.code for each in world.plan().plan.diagnostics}
    assert world.apply().released == 0
    assert len(world.deletes()) == sent, "what is no longer enforced is not sent"
    assert world.ids(Status.UNRESOLVED) == ids(3), "nothing lapses unverified"
    if decision == "a later until":
        world.manifest({"index": "docs", "reason": "r", "ids": ids(3), "until": "2027-11-24"})
        assert world.actions() == {"?": ids(3)}
        assert world.apply().verified == 3
    else:
        (world.root / "manifests" / "gdpr.yaml").write_text('{"version": 1, "absent": []}')
        assert "released-unverified" in {each.code for each in world.plan().plan.diagnostics}
        assert world.apply().released == 3
        assert len(world.deletes()) == sent


def test_a_plan_of_yesterday_does_not_delete_what_lapsed_today(world, ids):
    world.manifest({"index": "docs", "reason": "r", "ids": ids(5), "until": "2026-11-23"})
    plans = [world.save(), world.save(refresh=True)]
    world.clock.advance(86_400)
    for saved in plans:
        try:
            world.apply(saved=saved)
        except PlanStale:
            continue
        raise AssertionError("ids were deleted that are no longer to be absent")
    assert world.deletes() == []


def test_a_saved_release_leaves_ids_that_were_declared_again_elsewhere(world, ids):
    world.declare(ids(3))
    world.declare(ids(1, 50), name="b.yaml")
    world.apply()
    world.declare(ids(1))
    saved = world.save("manifests/gdpr.yaml")
    assert saved.plan.summary.release == 2
    world.write("elsewhere/c.yaml", (world.root / "manifests/b.yaml").read_text().replace("doc-050", "doc-001"))
    world.seed(["doc-001"])
    world.apply("elsewhere/c.yaml", refresh=True)  # finds it present again, and deletes it for another reason
    assert world.ids(Status.VERIFIED) == ["doc-000", "doc-001", "doc-002", "doc-050"]
    result = world.apply(saved=saved)
    assert (result.exit_code, result.released) == (ExitCode.DONE, 1)
    assert world.ids(Status.RELEASED) == ["doc-002"]


def test_a_continued_plan_releases_nothing_twice(world, ids):
    world.declare(ids(5))
    world.apply()
    world.declare([*ids(2), "doc-010"])
    saved = world.save()
    assert world.apply(saved=saved).released == 3
    assert world.apply(saved=saved).released == 0
    assert len(world.events(ev.Released)) == 1

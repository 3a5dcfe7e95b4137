"""From manifests to verified, and the rules that hold on the way."""

from __future__ import annotations

from reconciler.errors import ExitCode
from reconciler.model.tombstones import Status
from reconciler.state import events as ev


def test_a_first_apply_deletes_proves_and_leaves_an_empty_plan(busy, ids):
    busy.declare(ids(250))
    busy.check_intent_first()
    result = busy.apply()
    assert result.exit_code is ExitCode.DONE
    assert (result.accepted, result.batches, result.verified, result.pending) == (250, 3, 250, 0)
    assert busy.live() == ids(50, 250)
    assert busy.actions() == {}
    assert busy.ids(Status.VERIFIED) == ids(250)
    assert [event.outcome for event in busy.events(ev.RunFinished)] == ["done"]


def test_planning_applying_and_planning_again_costs_no_second_delete(world, ids):
    world.declare(ids(250))
    world.apply()
    again = world.apply()
    assert again.exit_code is ExitCode.DONE
    assert again.accepted == 0
    assert len(world.deletes()) == 3


def test_2350_ids_cost_24_requests_and_every_mutation_id_is_remembered(make_world):
    world = make_world(lag=5.0)
    all_ids = [f"user-{n:05}#chunk" for n in range(2350)]
    world.seed(all_ids)
    world.declare(all_ids)
    result = world.apply()
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 2350)
    sent = world.deletes()
    assert len(sent) == 24
    assert all(len(entry.ids) <= 100 for entry in sent)
    assert {b.mutation_id for b in world.record().batches} == {entry.mutation_id for entry in sent}
    assert world.actions() == {}

"""Ids that a look found absent: not sent, but proven all the same."""

from __future__ import annotations

import httpx
import pytest

from reconciler.errors import ExitCode
from reconciler.model.tombstones import Status
from reconciler.state import events as ev


def upsert(world, ids, *, index="docs"):
    """A write that waits in the service's log like any other."""
    body = "\n".join('{"id": "%s", "values": %s}' % (i, [1.0] * 32) for i in ids)  # noqa: UP031
    path = f"/client/v4/accounts/{world.account}/vectorize/v2/indexes/{index}/upsert"
    headers = {"authorization": "Bearer x", "content-type": "application/x-ndjson"}
    request = httpx.Request("POST", f"http://127.0.0.1{path}", content=body, headers=headers)
    assert world.bridge.handle_request(request).status_code == 200


def test_only_what_is_there_is_sent_and_the_rest_is_proven_after_a_mutation_of_this_run(busy, ids):
    busy.declare([*ids(5), "gone-1", "gone-2"])
    result = busy.apply(refresh=True)
    assert (result.exit_code, result.accepted, result.verified) == (ExitCode.DONE, 5, 7)
    assert [entry.ids for entry in busy.deletes()] == [tuple(ids(5))]
    assert busy.ids(Status.VERIFIED) == sorted([*ids(5), "gone-1", "gone-2"])
    processed = [n for n, e in enumerate(busy.events()) if isinstance(e, ev.Processed)]
    verified = [n for n, e in enumerate(busy.events()) if isinstance(e, ev.Verified)]
    assert max(processed) < min(verified)
    assert busy.actions() == {}


def test_with_nothing_but_absent_ids_one_batch_of_them_is_the_barrier(busy):
    busy.declare([f"gone-{n:03}" for n in range(250)])
    result = busy.apply(refresh=True)
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 250)
    assert [len(entry.ids) for entry in busy.deletes()] == [100]
    assert busy.actions() == {}


def test_absent_ids_keep_their_reasons(world):
    world.declare(["gone-1"])
    world.declare(["gone-2"], name="other.yaml")
    world.apply(refresh=True)
    manifests = {d.number: d.manifest for d in world.state.declarations.values()}
    by = {tuple(manifests[n] for n in numbers): list(ids) for numbers, ids in world.record().by_declaration}
    assert by == {("manifests/gdpr.yaml",): ["gone-1"], ("manifests/other.yaml",): ["gone-2"]}


@pytest.mark.fault(24)
def test_an_upsert_hidden_in_the_services_log_is_found_and_the_next_plan_deletes_it(make_world, ids):
    world = make_world(lag=5.0)
    world.seed(ids(10))
    world.declare([*ids(2), "hidden"])
    upsert(world, ["hidden"])
    result = world.apply(refresh=True)
    assert (result.exit_code, result.reappeared) == (ExitCode.FOUND, 1)
    assert world.ids(Status.REAPPEARED) == ["hidden"]
    assert world.actions() == {"!": ["hidden"]}
    assert world.apply().exit_code is ExitCode.DONE
    assert "hidden" not in world.live()


def test_the_absent_ids_of_an_interrupted_plan_are_proven_when_it_is_continued(busy, ids):
    busy.configure(api={"concurrency": 1, "batch_size": 2})
    busy.declare([*ids(4), "gone-1", "gone-2", "gone-3"])
    saved = busy.save(refresh=True)
    assert busy.apply(saved=saved, wait=False).accepted == 4
    result = busy.apply(saved=saved)
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 7)
    assert busy.ids(Status.VERIFIED) == sorted([*ids(4), "gone-1", "gone-2", "gone-3"])
    sent = len(busy.deletes())
    assert busy.apply(saved=saved).exit_code is ExitCode.DONE  # all is proven: not even a barrier
    assert len(busy.deletes()) == sent
    assert busy.actions() == {}


def test_without_waiting_what_was_not_sent_is_not_called_proven(busy, ids):
    busy.declare([*ids(2), "gone-1"])
    assert busy.apply(refresh=True, wait=False).pending == 3
    assert busy.verify().exit_code is ExitCode.DONE
    assert busy.ids(Status.VERIFIED) == ids(2)
    assert busy.actions() == {"-": ["gone-1"]}


def test_two_declarations_of_one_id_are_both_remembered(world, ids):
    world.declare(ids(3))
    world.declare(ids(3, 2), name="other.yaml")
    world.apply()
    assert [len(ids_) for _, ids_ in world.record().by_declaration] == [2, 1, 2]
    assert len(world.deletes()) == 1

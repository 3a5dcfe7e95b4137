"""When ids were last proven absent, from logs made by hand and by real runs."""

from __future__ import annotations

import pytest

from reconciler.state import events as ev
from reconciler.state.frames import GENESIS, parse, seal
from reconciler.state.proofs import proofs


def test_proofs_name_the_read_the_mutation_and_the_declaration(world, ids):
    world.configure(api={"batch_size": 2, "concurrency": 1})
    world.declare(ids(4))
    world.apply()
    target = world.record().target
    found = proofs(world.frames(), target, [*ids(3), "unknown"])
    assert set(found) == set(ids(3))
    sent = {each: entry.mutation_id for entry in world.deletes() for each in entry.ids}
    for each, proof in found.items():
        assert proof.mutation_id == sent[each]
        assert proof.how == "get_by_ids"
        assert proof.back_at is None
        assert [d.reason for d in proof.declarations] == ["ticket PRIV-1"]
    assert found == proofs(world.frames(), 1, ids(3))
    assert proofs(world.frames(), 7, ids(3)) == {}


@pytest.fixture
def said(make_log):
    """A log by hand: batches 1 (a, b, c) and 2 (b), accepted; `said(event, …)` adds a frame, `said.proofs()` reads."""
    log, frames = make_log(), []

    def add(*events):
        frames.append(log.add("r1", *events))
        return frames[-1]

    header = parse(seal(1, GENESIS, "n", "2026-11-22T12:00:01.000Z", "", [ev.Header("l" * 32)]).line)
    add.proofs = lambda: proofs([header, *frames], 1, ["a", "b", "c", "d"])
    add(ev.RunStarted("apply", "loopback"), ev.TargetSeen(1, "loopback", "a" * 32, "docs"))
    add(ev.Declared(1, 1, "m.yaml", 1, 1, "ticket"))
    for batch, named in ((1, "abc"), (2, "b")):
        add(ev.Intent(batch, 1, [[[1], len(named)]], list(named)), ev.Accepted(batch, f"m{batch}"))
    return add


def test_a_proof_is_the_last_of_those_that_nothing_contradicted(said):
    first = said(ev.Verified(1, "get_by_ids", [[1, 2]]))
    second = said(ev.Verified(1, "list", [[1, 2]], ["c"]))
    found = said.proofs()
    assert {each: (p.at, p.since, p.how, p.mutation_id) for each, p in found.items()} == {
        "a": (second.at, first.at, "list", "m1"),
        "b": (second.at, first.at, "list", "m2"),
        "c": (first.at, first.at, "get_by_ids", "m1"),
    }
    back = said(ev.Reappeared(1, ["a"]))
    assert (said.proofs()["a"].at, said.proofs()["a"].back_at) == (second.at, back.at)
    again = said(ev.Verified(1, "get_by_ids", ids=["a"]))
    assert (said.proofs()["a"].since, said.proofs()["a"].back_at) == (again.at, None)


def test_a_read_of_the_batch_before_is_none_of_an_id_that_was_sent_again(said):
    proven = said(ev.Verified(1, "get_by_ids", [[1, 1]]))
    found = said.proofs()
    assert set(found) == {"a", "c"}
    said(ev.Intent(3, 1, [[[1], 1]], ["a"]))
    said(ev.Verified(1, "get_by_ids", [[1, 1]]))
    assert (said.proofs()["a"].at, said.proofs()["a"].mutation_id) == (proven.at, "m1")
    said(ev.Failed(3, 1, "rejected", final=True))
    later = said(ev.Verified(1, "get_by_ids", [[1, 1]]))
    assert (said.proofs()["a"].at, said.proofs()["a"].mutation_id) == (later.at, "m1")


def test_a_read_of_a_whole_batch_is_none_of_what_was_released_and_one_by_name_of_what_was_never_sent_is(said):
    proven = said(ev.Verified(1, "get_by_ids", [[1, 2]]))
    said(ev.Released(1, "undeclared", ids=["a"]))
    later = said(ev.Verified(1, "get_by_ids", [[1, 1]], ids=["d"], declarations=[[[1], 1]]))
    found = said.proofs()
    assert (found["a"].at, found["a"].declarations) == (proven.at, ())
    assert (found["c"].at, found["d"].at, found["d"].batch, found["d"].mutation_id) == (
        later.at,
        later.at,
        None,
        None,
    )
    assert [each.reason for each in found["d"].declarations] == ["ticket"]

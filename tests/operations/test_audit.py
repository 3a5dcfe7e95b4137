"""The nightly audit: prefixes that promise to match nothing, and tombstones that are let go but not forgotten."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode
from reconciler.model.tombstones import Status
from reconciler.render.summary import reappeared_lines
from reconciler.state import events as ev


def _promise(world, *, keep=(), **more):
    world.manifest({"index": "docs", "reason": "PRIV-1", "prefixes": ["user-8/"], **more}, keep=keep)


@pytest.fixture
def promised(world):
    """An index from which everything that begins with user-8/ was deleted, but what a keep protects."""
    world.seed([f"user-8/{n}" for n in range(30)] + ["user-8/hold/1", "user-8/held", "user-9/1"])
    keep = {"index": "docs", "reason": "LH-1", "prefixes": ["user-8/hold/"], "ids": ["user-8/held"]}
    _promise(world, keep=[keep])
    assert world.apply().verified == 30
    return world


def test_what_appears_under_a_promised_prefix_is_found_named_and_deleted_by_the_next_apply(promised):
    assert promised.verify(audit=True).exit_code is ExitCode.DONE
    promised.seed(["user-8/new", "user-8/hold/2", "user-9/2"])
    found = promised.verify(audit=True)
    assert found.exit_code is ExitCode.FOUND
    assert [list(ids) for _, ids in found.reappeared] == [["user-8/new"]]
    assert promised.actions() == {"!": ["user-8/new"]}
    assert promised.apply().verified == 1
    assert set(promised.live()) >= {"user-8/hold/1", "user-8/hold/2", "user-8/held", "user-9/1", "user-9/2"}
    assert promised.verify(audit=True).exit_code is ExitCode.DONE
    (event,) = promised.events(ev.Reappeared)
    assert event.how == "list; prefix"


def test_one_list_proves_the_tombstones_and_the_prefix_together(promised):
    before = len(promised.requests())
    promised.verify(audit=True)
    made = [each.operation for each in promised.requests()[before:]]
    assert made == ["index_get", "list", "index_get"]


def test_a_prefix_that_matched_nothing_is_still_a_promise(world):
    _promise(world)
    assert world.apply().exit_code is ExitCode.DONE
    world.seed(["user-8/late"])
    found = world.verify(audit=True)
    assert [list(ids) for _, ids in found.reappeared] == [["user-8/late"]]


def test_a_promise_ends_with_its_until_and_with_its_release(promised):
    promised.seed(["user-8/new"])
    (promised.root / "manifests" / "gdpr.yaml").write_text('{"version": 1, "absent": []}')
    assert promised.apply().released == 30
    assert promised.verify(audit=True).exit_code is ExitCode.DONE


def test_a_promise_that_lapsed_is_not_checked(world):
    world.seed(["user-8/1"])
    _promise(world, until="2026-11-24")
    world.apply()
    world.seed(["user-8/2"])
    world.clock.advance(3 * 86_400)
    assert world.verify(audit=True).exit_code is ExitCode.DONE


def test_verify_without_all_costs_no_list_for_a_prefix(promised):
    before = len(promised.requests())
    assert promised.verify().exit_code is ExitCode.DONE
    assert len(promised.requests()) == before


def test_where_no_complete_list_can_be_had_the_ids_are_proven_and_the_prefix_is_said_to_be_unchecked(promised):
    promised.fault("truncate", operation="list", times=None)
    result = promised.verify(audit=True)
    assert result.verified == 30
    assert "what begins with a declared prefix was not looked for" in "".join(n.message for n in promised.notices)


@pytest.mark.parametrize(("recheck", "days", "found"), [("30d", 29, True), ("30d", 31, False), ("12h", 1, False)])
def test_a_released_tombstone_is_audited_for_as_long_as_the_configuration_says(world, ids, recheck, days, found):
    world.configure(recheck=recheck)
    world.declare(ids(3))
    world.apply()
    (world.root / "manifests" / "gdpr.yaml").write_text('{"version": 1, "absent": []}')
    assert world.apply().released == 3
    world.seed(ids(1))
    world.clock.advance(days * 86_400)
    result = world.verify(audit=True)
    assert (result.exit_code is ExitCode.FOUND) is found
    if found:
        assert world.ids(Status.REAPPEARED) == ids(1)
        assert world.actions() == {".": ids(1)}, "it is found, and not deleted: nobody declares it"


def test_without_recheck_what_was_released_is_not_read(world, ids):
    world.declare(ids(3))
    world.apply()
    (world.root / "manifests" / "gdpr.yaml").write_text('{"version": 1, "absent": []}')
    world.apply()
    world.seed(ids(3))
    before = len(world.requests())
    assert world.verify(audit=True).exit_code is ExitCode.DONE
    assert len(world.requests()) == before


def test_what_is_back_is_told_with_its_proof_its_mutation_and_its_declaration(world, ids):
    world.declare(ids(3))
    world.apply()
    proven = world.record().batches[0]
    world.seed(ids(1))
    result = world.verify(audit=True)
    ((target, found),) = result.proofs.items()
    assert target.index == "docs"
    proof = found[ids(1)[0]]
    assert proof.mutation_id == proven.mutation_id
    assert [(d.manifest, d.reason) for d in proof.declarations] == [("manifests/gdpr.yaml", "ticket PRIV-1")]
    first, _, history = reappeared_lines(result.reappeared, result.proofs)
    assert first.endswith("docs: 1 id present that should be gone:")
    assert f"proven absent {proof.at} by {proof.how} after mutation {proven.mutation_id}" in history
    assert "declared manifests/gdpr.yaml:" in history


def test_what_is_back_under_a_prefix_was_never_proven(promised):
    promised.seed(["user-8/new"])
    result = promised.verify(audit=True)
    *_, history = reappeared_lines(result.reappeared, result.proofs)
    assert "was never proven absent" in history

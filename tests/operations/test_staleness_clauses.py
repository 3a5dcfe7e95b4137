"""The design's page on plans, clause by clause: what makes an approval stale. Each test quotes its clause."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode, PlanRefused, PlanStale
from reconciler.model.idset import IdSet
from reconciler.model.tombstones import Status
from reconciler.state import events as ev
from support.approving import clause, interrupted, stale


@pytest.fixture
def slow(world):
    """One request after the other, three ids each."""
    world.configure(api={"concurrency": 1, "batch_size": 3})
    return world


# Stale


@pytest.mark.fault(26)
@clause("Stale: lineage differs")
def test_another_lineage_is_named(clause, world, ids):
    world.declare(ids(3))
    world.apply()
    world.declare(ids(5))
    saved = world.save()
    world.state_path.unlink()
    said = stale(world, saved=saved)
    assert "another state" in said.message
    assert saved.plan.state.lineage in said.message


@pytest.mark.fault(26)
@clause("or a target's pin differs")
def test_a_pin_that_differs_is_named_with_both(clause, world, ids):
    world.declare(ids(3))
    world.apply()
    before = world.record().created_on
    world.declare(ids(5))
    saved = world.save()
    world.emulator.delete_index(world.account, "docs")
    world.clock.advance(1)
    world.seed(ids(9))
    world.declare(ids(1, 8), name="other.yaml")
    world.apply("manifests/other.yaml", refresh=True)
    (world.root / "manifests/other.yaml").unlink()
    after = world.record().created_on
    assert before != after
    said = stale(world, saved=saved)
    assert f"made for the index created on {before}, the state knows the index created on {after}" in said.message
    assert any(f"created on {before} when approved" in line for line in said.differences)


@pytest.mark.fault(26)
@clause('the log at the plan\'s position has another head ("the state went backwards")')
def test_a_log_that_ends_before_the_plan_is_named(clause, world, ids):
    world.declare(ids(3))
    world.apply()
    lines = world.state_path.read_bytes().splitlines(keepends=True)
    world.declare(ids(5))
    saved = world.save()
    world.state_path.write_bytes(b"".join(lines[:-1]))
    said = stale(world, saved=saved)
    assert "the state went backwards" in said.message
    assert str(saved.plan.state.position) in said.message


@pytest.mark.fault(26)
@clause("the manifests resolved again differ (a file added counts)")
def test_a_file_that_only_adds_a_comment_counts(clause, world, ids):
    world.declare(ids(3))
    saved = world.save()
    world.write("manifests/later.yaml", "version: 1\n# nothing yet\n")
    assert "manifests/later.yaml was added" in stale(world, saved=saved).differences


@pytest.mark.fault(26)
@clause("the manifests resolved again differ: a declaration that lapsed since")
def test_a_declaration_that_lapsed_since_the_plan_is_not_carried_out(clause, world, ids):
    world.manifest({"index": "docs", "reason": "r", "ids": ids(3), "until": "2026-11-23"})
    saved = world.save()
    assert saved.plan.summary.delete == 3
    world.clock.advance(86_400.0)
    said = stale(world, saved=saved)
    assert any("3 ids fewer to delete than approved" in line for line in said.differences)


@pytest.mark.fault(26)
@clause("or an id needs another send that no run of this fingerprint explains")
def test_an_id_whose_outcome_another_run_left_unknown_is_sent_again_only_if_it_was_approved(clause, slow, ids):
    slow.declare(ids(1, 100))
    slow.apply()
    slow.declare([*ids(6), *ids(1, 100)])
    saved = slow.save()
    slow.fault("null_mutation", with_id="doc-000", times=5)
    slow.declare([*ids(7), *ids(1, 100)])
    assert slow.apply().unknown == 3  # a run of another fingerprint
    slow.declare([*ids(6), *ids(1, 100)])
    result = slow.apply(saved=saved)
    assert result.exit_code is ExitCode.DONE
    assert [list(entry.ids) for entry in slow.deletes()][-1] == ids(3)  # whose outcome nobody knows
    assert "doc-006" not in slow.ids(Status.VERIFIED)


@pytest.mark.fault(26)
@clause("or an id needs another send that no run of this fingerprint explains")
def test_an_id_that_came_back_after_the_approved_delete_makes_the_plan_stale(clause, world, ids):
    world.declare(ids(3))
    saved = world.save()
    world.apply(saved=saved)
    world.seed(["doc-001"])
    world.verify(audit=True)
    said = stale(world, saved=saved)
    assert "need a delete again" in said.message
    assert any(
        "to delete again because found present" in line and '"doc-001"' in line for line in said.differences
    )


@clause("Ids accepted by a run of this fingerprint are skipped: that is continuing an interrupted apply")
def test_a_continued_apply_sends_each_id_once(clause, slow, ids):
    slow.declare(ids(9))
    saved = slow.save()
    interrupted(slow, 1, saved=saved)
    assert slow.apply(saved=saved).exit_code is ExitCode.DONE
    assert sorted(each for entry in slow.deletes() for each in entry.ids) == ids(9)


@clause("Frames such as processed and verified never make a plan stale")
def test_proofs_of_other_ids_never_make_a_plan_stale(clause, busy, ids):
    busy.declare(ids(3))
    busy.apply(wait=False)
    busy.declare(ids(6))
    saved = busy.save()
    busy.verify()
    kinds = [type(event) for event in busy.events(ev.Processed, ev.Verified)]
    assert {ev.Processed, ev.Verified} == set(kinds)
    assert busy.apply(saved=saved).accepted == 3


@clause("--expect compares first with the plan made at the position where an unfinished run began")
def test_an_expected_fingerprint_finds_its_own_interrupted_run(clause, slow, ids):
    slow.declare(ids(9))
    expected = slow.plan().plan.fingerprint
    interrupted(slow, 1, expect=expected)
    assert slow.plan().plan.fingerprint != expected
    assert slow.apply(expect=expected).exit_code is ExitCode.DONE
    assert sorted(each for entry in slow.deletes() for each in entry.ids) == ids(9)


@pytest.mark.parametrize("declared", ["ids", "prefix"])
@clause(
    "--expect compares first with the plan made at the position where an unfinished run began: one that looked"
)
def test_an_interrupted_apply_that_looked_first_is_continued_by_its_fingerprint_too(clause, slow, ids, declared):
    """What it found present then is gone now: what it has sent itself says that it was there."""
    entry = {"ids": [*ids(9), "doc-900"]} if declared == "ids" else {"prefixes": ["doc-00"]}
    slow.manifest({"index": "docs", "reason": "r", **entry})
    expected = slow.plan(refresh=True).plan.fingerprint
    interrupted(slow, 1, expect=expected, refresh=True)
    assert slow.apply(expect=expected, refresh=True).exit_code is ExitCode.DONE
    sent = [each for entry in slow.deletes() for each in entry.ids]
    assert len(sent) == len(set(sent)) == len(ids(9 if declared == "ids" else 10))


@pytest.mark.fault(26)
@clause("--expect: an interrupted apply that looked is not continued with what appeared since")
def test_what_a_prefix_matches_since_the_interruption_is_not_approved(clause, slow, ids):
    slow.manifest({"index": "docs", "reason": "r", "prefixes": ["doc-00"]})
    expected = slow.plan(refresh=True).plan.fingerprint
    interrupted(slow, 1, expect=expected, refresh=True)
    slow.seed(["doc-00-later"])
    stale(slow, expect=expected, refresh=True)


# Untrusted, zero work, releases


@clause("A plan file is untrusted: apply loads the manifests again; each id must be in no keep")
def test_a_keep_added_since_the_plan_is_obeyed(clause, world, ids):
    world.declare(ids(3))
    saved = world.save()
    world.manifest(keep=[{"index": "docs", "reason": "hold", "ids": ids(1)}], name="hold.yaml")
    with pytest.raises((PlanStale, PlanRefused)):
        world.apply(saved=saved)
    assert world.deletes() == []


@clause("A saved plan of which neither this apply nor an earlier run of its fingerprint sent any ends in 6")
def test_approved_work_that_others_did_is_not_this_plans_success(clause, world, ids):
    world.declare(ids(1, 100))
    world.apply()
    world.declare([*ids(3), *ids(1, 100)])
    saved = world.save()
    world.declare([*ids(4), *ids(1, 100)])
    world.apply()  # a run of another fingerprint
    world.declare([*ids(3), *ids(1, 100)])
    assert "no run of it did it" in stale(world, saved=saved).message


@clause("an id is released only if the manifest that declared it lies within PATHS")
def test_a_plan_of_a_part_never_releases_the_rest(clause, world, ids):
    world.declare(ids(3))
    world.declare(ids(3, 10), name="other.yaml")
    world.apply()
    world.declare(ids(2))
    world.declare(ids(2, 10), name="other.yaml")
    (index,) = world.save("manifests/gdpr.yaml").plan.indexes
    assert IdSet.of(["doc-002"]) == IdSet.union(a.ids for a in index.actions if a.kind.symbol == ".")


@clause("The order: several hold, the first of …, 6, 3: a stale plan is stale before it is refused")
def test_a_stale_plan_is_called_stale_even_where_a_limit_would_refuse_it(clause, world, ids):
    world.declare(ids(3))
    saved = world.save()
    world.configure(limits={"max_deletes": 1})
    assert "limits" in stale(world, saved=saved).message


@pytest.mark.fault(26)
@clause("--expect: an unfinished run is continued, and an id that came back since is not part of it")
def test_what_came_back_since_the_interruption_needs_a_new_approval(clause, slow, ids):
    slow.declare(ids(9))
    expected = slow.plan().plan.fingerprint
    interrupted(slow, 1, expect=expected)
    slow.verify()
    slow.seed(["doc-001"])
    slow.verify(audit=True)
    assert "need a delete again" in stale(slow, expect=expected).message


@pytest.mark.fault(26)
@clause("--expect: the position where an unfinished run of that fingerprint began")
def test_a_run_that_came_to_its_end_is_no_unfinished_one(clause, world, ids):
    world.declare(ids(3))
    expected = world.plan().plan.fingerprint
    assert world.apply(expect=expected).exit_code is ExitCode.DONE
    assert "is not the approved one" in stale(world, expect=expected).message


@pytest.mark.fault(26)
@clause("origin: a plan for another API origin")
@pytest.mark.parametrize("refresh", [False, True])
def test_a_plan_for_another_origin_says_so(clause, world, ids, refresh):
    world.declare(ids(3))
    saved = world.save(refresh=refresh)
    elsewhere = world.context(base_url="https://api.example.com/client/v4")
    with pytest.raises(PlanStale, match=r"for loopback, this apply would go to https://api\.example\.com"):
        world.apply(saved=saved, context=elsewhere)
    assert world.deletes() == []

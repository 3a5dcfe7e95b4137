"""The design's page on plans, clause by clause: the document and its fingerprint. Each test quotes its clause."""

from __future__ import annotations

import json

import pytest

from reconciler.errors import ManifestError, PlanRefused
from reconciler.model.plan import Summary
from reconciler.operations.context import load
from reconciler.operations.planning import plan
from reconciler.planfile import decode
from reconciler.planner.fingerprint import fingerprint
from support.approving import clause


@pytest.fixture
def slow(world):
    """One request after the other, three ids each."""
    world.configure(api={"concurrency": 1, "batch_size": 3})
    return world


# The document


@clause("summary counts ids, except requests")
def test_the_summary_counts_ids_and_requests(clause, slow, ids):
    slow.declare(ids(7))
    document = json.loads(slow.plan_bytes())
    assert (document["summary"]["delete"], document["summary"]["requests"]) == (7, 3)
    assert document["indexes"][0]["summary"] == document["summary"]


@clause("complete: all prefixes resolved and no narrowing")
def test_a_plan_is_complete_with_every_prefix_listed_and_every_index_covered(clause, world, ids):
    world.manifest({"index": "docs", "reason": "r", "ids": ids(2), "prefixes": ["doc-01"]})
    assert not world.plan().plan.complete
    assert world.plan(refresh=True).plan.complete
    assert not world.plan(refresh=True, only="docs").plan.complete


@clause("errored: an error diagnostic exists")
def test_a_plan_with_an_error_says_so(clause, world):
    world.manifest({"index": "docs", "reason": "r", "ids": ["x" * 65]})
    plan = world.plan().plan
    assert plan.errored
    assert not plan.applyable


@clause("applyable: not errored, not refused, something to do")
def test_a_plan_is_applyable_when_there_is_something_to_do_and_nothing_forbids_it(clause, world, ids):
    world.declare(ids(3))
    assert world.plan().plan.applyable
    world.configure(limits={"max_deletes": 2})
    refused = world.plan().plan
    assert (refused.refused, refused.applyable) == (True, False)
    world.configure()
    world.apply()
    assert not world.plan().plan.applyable


@clause("A refused plan still shows all its actions first")
def test_a_refused_plan_carries_all_its_actions_also_out_of_an_apply(clause, world, ids):
    world.configure(limits={"max_deletes": 2})
    world.declare(ids(3))
    with pytest.raises(PlanRefused) as refused:
        world.apply()
    assert refused.value.plan.summary == Summary(delete=3, requests=1)
    assert list(refused.value.plan.indexes[0].to_send) == ids(3)


@clause("requests and the least time they take under the budget are part of every plan")
def test_a_plan_says_what_it_costs(clause, world, ids):
    world.configure(api={"batch_size": 1, "requests_per_five_minutes": 2})
    world.declare(ids(5))
    document = json.loads(world.plan_bytes())
    assert document["summary"]["requests"] == 5
    assert document["least_seconds"] == 600.0


@clause("the saved file is the same document")
def test_the_saved_file_is_what_plan_prints(clause, world, ids):
    world.declare(ids(5))
    planned = world.plan().plan
    assert decode(world.plan_bytes(), path="p").plan == planned


@clause("A saved plan with an unresolved prefix is not applyable, and the hint says plan --refresh --out")
def test_a_prefix_never_listed_cannot_be_approved(clause, world, ids):
    world.manifest({"index": "docs", "reason": "r", "ids": ids(2), "prefixes": ["doc-01"]})
    saved = world.save()
    assert not saved.plan.applyable
    with pytest.raises(ManifestError) as refused:
        world.apply(saved=saved)
    assert "plan --refresh --out" in refused.value.hint
    assert world.requests() == []


# The fingerprint


@clause("for each target: origin")
def test_the_fingerprint_covers_the_origin(clause, world, ids):
    world.declare(ids(3))
    here = world.plan().plan.fingerprint
    elsewhere = world.context(base_url="https://api.cloudflare.com/client/v4")
    assert plan(elsewhere).plan.fingerprint != here


@clause("the digests of manifests and side files (relative POSIX paths, sorted)")
def test_the_files_of_a_plan_are_relative_and_sorted(clause, world, ids):
    world.write("manifests/z.txt", "doc-010\n")
    world.write("manifests/a.txt", "doc-011\n")
    world.manifest({"index": "docs", "reason": "r", "ids_from": [{"path": "z.txt"}, {"path": "a.txt"}]})
    paths = [file.path for file in world.plan().plan.files]
    assert paths == ["manifests/a.txt", "manifests/gdpr.yaml", "manifests/z.txt"]


@clause("created_on is the pin in the log at the plan's position, never one read by the same apply")
def test_the_run_is_recorded_under_the_fingerprint_that_was_shown(clause, world, ids):
    world.declare(ids(3))
    shown = world.plan().plan
    assert shown.indexes[0].created_on is None
    world.apply(expect=shown.fingerprint)
    assert [run.fingerprint for run in world.state.runs] == [shown.fingerprint]
    assert world.record().created_on is not None


@clause("Not time")
def test_the_time_is_no_part_of_the_fingerprint(clause, world, ids):
    world.declare(ids(3))
    before = world.plan().plan.fingerprint
    world.clock.advance(86_400.0)
    assert world.plan().plan.fingerprint == before


@clause("not position")
def test_frames_that_change_nothing_do_not_change_the_fingerprint(clause, busy, ids):
    busy.declare(ids(3))
    busy.apply(wait=False)
    busy.declare(ids(5))
    before = busy.plan().plan
    busy.verify()
    after = busy.plan().plan
    assert after.state.position > before.state.position
    assert after.fingerprint == before.fingerprint


@clause("not ~ o =")
def test_what_merely_waits_or_was_found_absent_is_no_part_of_the_fingerprint(clause, world, ids):
    world.declare([*ids(3), "doc-900"])
    seen = world.plan(refresh=True).plan
    assert seen.summary.already_absent == 1
    (index,) = seen.indexes
    without = [action for action in index.actions if action.kind.sends]
    bare = type(index)(index.target, index.created_on, index.summary, tuple(without))
    assert fingerprint([bare], load(world.context()), seen.limits) == seen.fingerprint

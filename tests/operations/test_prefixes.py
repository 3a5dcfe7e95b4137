"""Prefixes: resolved by a complete list, frozen in the plan."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode, IndexNotFound, ManifestError
from reconciler.model.tombstones import Status
from reconciler.state.events import Declared


def declare(world, *prefixes, keep=(), **more):
    entry = {"index": "docs", "reason": "r", "prefixes": list(prefixes), **more}
    world.manifest(entry, keep=[{"index": "docs", "reason": "hold", **each} for each in keep])


def test_apply_lists_and_deletes_what_matches_and_keeps_what_a_keep_protects(world, ids):
    declare(world, "doc-01", keep=[{"prefixes": ["doc-019"]}])
    result = world.apply("manifests")
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 9)
    assert world.deletes()[0].ids == tuple(ids(9, 10))
    assert "doc-019" in world.live()
    assert world.actions() == {}


def test_a_prefix_listed_before_resolves_offline_and_the_next_plan_is_complete(world):
    declare(world, "doc-01")
    assert not world.plan().plan.complete
    world.apply()
    planned = world.plan().plan
    assert planned.complete
    assert [prefix.count for index in planned.indexes for prefix in index.prefixes] == [10]


def test_entries_of_one_manifest_may_have_the_same_prefix_and_are_recorded_once(world):
    world.manifest(
        {"index": "docs", "reason": "T-1", "ids": ["doc-001"], "prefixes": ["doc-01"]},
        {"index": "docs", "reason": "T-2", "ids": ["doc-002"], "prefixes": ["doc-02", "doc-01"]},
    )
    assert world.apply().exit_code is ExitCode.DONE
    frames = len(world.frames())
    planned = world.plan().plan
    assert (planned.changes, planned.unrecorded) == (False, 0)
    assert "declaration-changed" not in [each.code for each in planned.diagnostics]
    assert world.apply().exit_code is ExitCode.DONE
    assert not [e for f in world.frames()[frames:] for e in f.events if isinstance(e, Declared)]
    prefixes = [
        [p["text"] for p in e.prefixes] for f in world.frames() for e in f.events if isinstance(e, Declared)
    ]
    assert prefixes == [["doc-01"], ["doc-02", "doc-01"]]


def test_an_unresolved_prefix_in_a_saved_plan_is_not_applied(world):
    declare(world, "doc-01")
    saved = world.save()
    with pytest.raises(ManifestError) as refused:
        world.apply(saved=saved)
    assert "--refresh --out" in refused.value.hint
    assert world.requests() == []


def test_a_resolved_prefix_in_a_saved_plan_is_applied_as_it_was_listed(world, ids):
    declare(world, "doc-01")
    saved = world.save(refresh=True)
    world.seed(["doc-01x"])
    assert world.apply(saved=saved).verified == 10
    assert "doc-01x" in world.live()
    assert world.apply("manifests").verified == 1


def test_a_prefix_that_matches_nothing_is_remembered_so_that_the_plan_becomes_empty(world):
    declare(world, "nothing-")
    assert not world.plan().plan.complete
    result = world.apply()
    assert result.exit_code is ExitCode.DONE
    planned = world.plan().plan
    assert planned.complete
    assert not planned.changes
    frames = len(world.frames())
    assert world.apply().exit_code is ExitCode.DONE
    assert len(world.frames()) == frames  # nothing to record a second time


def test_a_prefix_that_matches_only_what_is_kept_is_remembered_too(world):
    declare(world, "doc-01", keep=[{"prefixes": ["doc-0"]}])
    assert world.apply().exit_code is ExitCode.DONE
    assert world.plan().plan.complete
    assert world.deletes() == []


def test_targets_without_a_prefix_are_not_read_without_refresh(world, ids):
    declare(world, "doc-01")
    world.seed(ids(5), "more")
    world.declare(ids(5), "more", name="more.yaml")
    seen = []
    world.on_delete(lambda _: seen.append([e.operation for e in world.requests() if e.index == "more"]))
    assert world.apply().exit_code is ExitCode.DONE
    assert seen[0] == ["get_by_ids"] or "get_by_ids" not in seen[0]
    assert "info" not in seen[0]
    assert "list" not in seen[0]


@pytest.mark.parametrize("beside", [False, True])
def test_a_missing_index_with_a_prefix_is_an_error_of_its_own_and_the_others_proceed(world, ids, beside):
    world.manifest({"index": "gone", "reason": "r", "prefixes": ["x-"]})
    if beside:
        world.declare(ids(5), name="other.yaml")
    result = world.apply()
    assert result.exit_code is ExitCode.ERROR
    assert [type(error) for error in result.errors] == [IndexNotFound]
    assert result.verified == (5 if beside else 0)


def test_ids_that_come_back_under_a_prefix_are_found_by_the_next_apply(world):
    declare(world, "doc-01")
    world.apply()
    world.seed(["doc-012"])
    result = world.apply()
    assert (result.exit_code, result.accepted) == (ExitCode.DONE, 1)
    assert world.ids(Status.REAPPEARED) == []
    assert "doc-012" not in world.live()

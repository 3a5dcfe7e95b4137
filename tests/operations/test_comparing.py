"""What was approved and what would be done now: the difference is told in sentences, with exact counts."""

from __future__ import annotations

import pytest

from reconciler.errors import PlanStale
from reconciler.model.idset import IdSet
from reconciler.operations.comparing import differences, examples

DOCS = "023e105f4ecef8ad9ca31a8372d0c353/docs"


def told(world, saved, **options):
    with pytest.raises(PlanStale) as stale:
        world.apply(saved=saved, **options)
    assert world.deletes() == [] or len(world.deletes()) == 1
    return list(stale.value.differences)


def test_more_and_fewer_ids_are_counted_and_a_few_are_named(world, ids):
    world.declare(ids(10))
    saved = world.save()
    world.declare([*ids(5, 5), *ids(6, 50)])
    assert told(world, saved) == [
        "manifests/gdpr.yaml was changed",
        f'{DOCS}: 6 ids more to delete than approved: "doc-050", "doc-051", "doc-052" and 3 more',
        f'{DOCS}: 5 ids fewer to delete than approved: "doc-000", "doc-001", "doc-002" and 2 more',
    ]


def test_one_id_is_one_id(world, ids):
    world.declare(ids(2))
    saved = world.save()
    world.declare(["doc-001", "doc-002"])
    assert told(world, saved)[1:] == [
        f'{DOCS}: 1 id more to delete than approved: "doc-002"',
        f'{DOCS}: 1 id fewer to delete than approved: "doc-000"',
    ]


def test_files_that_came_and_went_are_named(world, ids):
    world.write("manifests/ids.txt", "doc-010\n")
    world.manifest({"index": "docs", "reason": "r", "ids": ids(2), "ids_from": [{"path": "ids.txt"}]})
    world.declare(ids(2), name="b.yaml")
    saved = world.save()
    (world.root / "manifests/b.yaml").unlink()
    world.declare(ids(2), name="c.yaml")
    world.write("manifests/ids.txt", "doc-010\n\n")
    assert told(world, saved) == [
        "manifests/b.yaml was removed",
        "manifests/c.yaml was added",
        "manifests/ids.txt was changed",
    ]


def test_limits_are_told_from_what_to_what(world, ids):
    world.declare(ids(2))
    saved = world.save()
    world.configure(limits={"max_deletes": 500}, indexes={"docs": {"max_percent": 12.5}})
    assert told(world, saved) == [
        "max_deletes of the whole plan: 10,000 when approved, 500 now",
        "max_deletes of docs: 10,000 when approved, 500 now",
        "max_percent of docs: 30 when approved, 12.5 now",
    ]


def test_an_index_more_or_less_is_told_with_its_ids(world, ids):
    world.declare(ids(2))
    saved = world.save()
    world.declare(ids(2), "more", name="b.yaml")
    more = f"{DOCS[:33]}more"
    assert told(world, saved) == [
        "manifests/b.yaml was added",
        f"{more} is not in the approved plan",
        "limits of more (max_deletes 10,000, max_percent 30) are not in the approved plan",
        f'{more}: 2 ids more to delete than approved: "doc-000", "doc-001"',
    ]


def test_ids_that_changed_their_kind_are_told_once_with_both(world, ids):
    world.declare(ids(5))
    before = world.plan().plan
    world.apply(wait=False)
    after = world.plan().plan
    assert differences(before, after)[-1] == (
        f"{DOCS}: 5 ids that were to delete when approved are waiting for confirmation now: "
        '"doc-000", "doc-001", "doc-002" and 2 more'
    )


def test_a_pin_is_told_with_both_moments(world, ids):
    world.declare(ids(5))
    before = world.plan().plan
    world.apply()
    pin = world.record().created_on
    assert f"{DOCS}: an index not seen yet when approved, the index created on {pin} now" in differences(
        before, world.plan().plan
    )


def test_ids_that_came_back_and_ids_to_release_are_told(world, ids):
    world.declare(ids(4))
    world.apply()
    before = world.plan().plan
    world.seed(["doc-001"])
    world.verify(audit=True)
    world.declare(ids(3))
    lines = differences(before, world.plan().plan)
    assert f'{DOCS}: 1 id more to delete again because found present than approved: "doc-001"' in lines
    assert f'{DOCS}: 1 id more to release than approved: "doc-003"' in lines


def test_what_a_prefix_matches_is_told(world, ids):
    world.manifest({"index": "docs", "reason": "r", "prefixes": ["doc-00", "doc-01"]})
    before = world.plan(refresh=True).plan
    world.seed(["doc-00x"])
    world.manifest({"index": "docs", "reason": "r", "prefixes": ["doc-00", "doc-02"]})
    name = f"{DOCS}: prefix"
    assert [line for line in differences(before, world.plan(refresh=True).plan) if "prefix" in line] == [
        f'{name} "doc-00" of manifests/gdpr.yaml: 10 ids matched when approved, 11 ids matched now',
        f'{name} "doc-01" of manifests/gdpr.yaml is in the approved plan only',
        f'{name} "doc-02" of manifests/gdpr.yaml is not in the approved plan',
    ]


def test_a_plan_that_looked_is_not_compared_by_what_only_a_look_can_tell(world, ids):
    """Without a look the absent ids would be to delete, and what a prefix matches would be unknown."""
    world.manifest({"index": "docs", "reason": "r", "ids": [*ids(3), "doc-900"], "prefixes": ["doc-01"]})
    saved = world.save(refresh=True)
    world.manifest({"index": "docs", "reason": "r", "ids": [*ids(2), "doc-900"], "prefixes": ["doc-01"]})
    assert told(world, saved) == [
        "manifests/gdpr.yaml was changed",
        f'{DOCS}: 1 id fewer to delete than approved: "doc-002"',
    ]


def test_manifests_that_cannot_be_read_are_not_taken_for_fewer_ids(world, ids):
    world.declare(ids(3))
    saved = world.save()
    world.write("manifests/gdpr.yaml", "version: 1\nabsent: [\n")
    assert told(world, saved) == ["manifests/gdpr.yaml was changed"]


def test_the_same_plan_has_no_differences(world, ids):
    world.declare(ids(3))
    assert differences(world.plan().plan, world.plan().plan) == ()


@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[31m", "x\u202ey", "\u2028"])
def test_hostile_ids_stay_in_their_sentence(world, hostile):
    world.declare(["doc-000"])
    before = world.plan().plan
    world.declare(["doc-000", hostile])
    for line in differences(before, world.plan().plan):
        assert line.isprintable()


def test_a_million_more_ids_are_one_sentence():
    many = IdSet.of(f"id-{n:07}" for n in range(100_000))
    assert examples(many) == '"id-0000000", "id-0000001", "id-0000002" and 99,997 more'


def test_at_most_forty_sentences_and_the_rest_is_counted(world, ids):
    before = world.plan().plan
    for number in range(60):
        world.declare(ids(1), f"index-{number}", name=f"{number}.yaml")
    lines = differences(before, world.plan().plan)
    assert len(lines) == 41
    assert lines[-1].endswith("more differences")

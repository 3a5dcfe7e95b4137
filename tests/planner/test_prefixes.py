from __future__ import annotations

import pytest

from reconciler.model.idset import IdSet
from reconciler.model.tombstones import Status


def listing(text, *ids):
    found = IdSet.of(ids)
    return {"text": text, "count": len(found), "digest": found.digest()}


def test_a_prefix_never_listed_makes_the_plan_incomplete_and_not_applyable(build):
    plan = build.plan(build.desired(build.declaration("x", prefixes=["user/"])))
    assert not plan.complete
    assert plan.unresolved_prefixes
    assert plan.changes
    assert not plan.applyable
    assert "warning: prefix-unresolved" in build.codes(plan)
    (prefix,) = plan.indexes[0].prefixes
    assert (prefix.text, prefix.path, prefix.line) == ("user/", build.manifest, 5)
    assert prefix.count is prefix.digest is None
    (said,) = [d for d in plan.diagnostics if d.code == "prefix-unresolved"]
    assert "plan --refresh --out" in said.detail


def test_a_prefix_alone_is_enough_to_be_in_the_plan(build):
    plan = build.plan(build.desired(build.declaration(prefixes=["user/"])))
    assert len(plan.indexes) == 1
    assert plan.summary.sends == 0
    assert plan.changes


def test_a_listed_prefix_is_resolved_into_explicit_ids(build):
    plan = build.plan(
        build.desired(build.declaration(prefixes=["user/"])),
        None,
        build.look(matches={"user/": ["user/1", "user/2"]}),
    )
    assert build.fates(plan) == {"user/1": "- new", "user/2": "- new"}
    assert plan.complete
    assert plan.applyable
    (prefix,) = plan.indexes[0].prefixes
    assert (prefix.count, prefix.digest) == (2, IdSet.of(["user/1", "user/2"]).digest())


def test_offline_a_prefix_stands_as_it_was_last_listed(build):
    declaration = build.declaration(prefixes=["user/"])
    applied = build.applied(declaration, prefixes=(listing("user/", "user/1"),))
    state = build.state(build.record({Status.VERIFIED: ["user/1"]}), declarations=[applied])
    plan = build.plan(build.desired(declaration), state)
    assert plan.complete
    assert not plan.changes
    assert plan.summary.unchanged == 1
    (prefix,) = plan.indexes[0].prefixes
    assert (prefix.count, prefix.digest) == (1, IdSet.of(["user/1"]).digest())


def test_the_newest_listing_counts(build):
    declaration = build.declaration(prefixes=["user/"])
    records = [
        build.applied(declaration, 1, prefixes=(listing("user/", "user/1"),)),
        build.applied(declaration, 2, prefixes=(listing("user/", "user/1", "user/2"),)),
    ]
    state = build.state(build.record({Status.VERIFIED: ["user/1"]}), declarations=records)
    assert build.plan(build.desired(declaration), state).indexes[0].prefixes[0].count == 2


def test_a_listing_of_a_deleted_index_never_resolves_a_prefix_of_its_successor(build):
    declaration = build.declaration(prefixes=["user/"])
    applied = build.applied(declaration, prefixes=(listing("user/", "user/1"),))
    old = build.record({Status.VERIFIED: ["user/1"]}, closed=True)
    new = build.record({}, number=2, created_on="2026-09-09T00:00:00Z")
    plan = build.plan(build.desired(declaration), build.state(old, new, declarations=[applied]))
    assert not plan.complete
    assert not plan.applyable


def test_ids_remembered_under_a_prefix_are_not_released_while_it_is_declared(build):
    declaration = build.declaration(prefixes=["user/"])
    applied = build.applied(declaration, prefixes=(listing("user/", "user/1"),))
    state = build.state(build.record({Status.VERIFIED: ["user/1", "other"]}), declarations=[applied])
    look = build.look(matches={"user/": []})
    assert build.fates(build.plan(build.desired(declaration), state, look)) == {"other": ". undeclared"}


def test_an_id_that_came_back_under_a_prefix_is_deleted_again(build):
    declaration = build.declaration(prefixes=["user/"])
    applied = build.applied(declaration, prefixes=(listing("user/", "user/1"),))
    state = build.state(build.record({Status.VERIFIED: ["user/1"]}), declarations=[applied])
    look = build.look(matches={"user/": ["user/1"]})
    assert build.fates(build.plan(build.desired(declaration), state, look)) == {"user/1": "! reappeared"}


def test_a_prefix_that_matches_nothing_is_noted(build):
    plan = build.plan(
        build.desired(build.declaration(prefixes=["user/"])), None, build.look(matches={"user/": []})
    )
    assert "note: prefix-empty" in build.codes(plan)
    assert plan.complete
    assert not plan.changes


@pytest.mark.parametrize("reverse", [False, True])
def test_one_prefix_listed_for_one_manifest_and_not_for_another_is_a_plan_not_a_crash(build, reverse):
    first = build.declaration(prefixes=["user/"], manifest="m/one.yaml")
    second = build.declaration(prefixes=["user/"], manifest="m/two.yaml")
    applied = build.applied(first, prefixes=(listing("user/", "user/1"),))
    state = build.state(build.record({Status.VERIFIED: ["user/1"]}), declarations=[applied])
    declarations = [second, first] if reverse else [first, second]
    plan = build.plan(build.desired(*declarations), state)
    assert plan.unresolved_prefixes
    assert plan.fingerprint.startswith("sha256:")


def test_a_lapsed_prefix_is_not_asked_for(build):
    plan = build.plan(
        build.desired(build.declaration("x"), lapsed=[build.declaration(prefixes=["user/"], ordinal=2)])
    )
    assert plan.complete
    assert plan.indexes[0].prefixes == ()

"""A plan file is untrusted: whatever was changed in it, nothing undeclared and nothing kept is sent."""

from __future__ import annotations

import json

import pytest

from reconciler.errors import ExitCode, PlanFileError, PlanRefused, PlanStale
from reconciler.model.tombstones import Status
from reconciler.operations.context import load
from reconciler.planfile import decode
from reconciler.planner.fingerprint import fingerprint

REFUSALS = (PlanStale, PlanFileError, PlanRefused)


def edited(world, change, *, forge=False, **options):
    """The bytes of a plan file after `change`; `forge`: with sums and a fingerprint that fit."""
    document = json.loads(world.plan_bytes(**options))
    (index,) = document["indexes"]
    change(index["actions"])
    if forge:
        for kind in ("delete", "release", "already_absent"):
            count = sum(len(a["ids"]) for a in index["actions"] if a["action"] == kind)
            index["summary"][kind] = document["summary"][kind] = count
        document["fingerprint"] = forged(world, document)
    return decode(json.dumps(document).encode(), path="p.json")


def forged(world, document):
    document["fingerprint"] = "sha256:" + "0" * 64
    plan = decode(json.dumps(document).encode(), path="p.json").plan
    return fingerprint(plan.indexes, load(world.context()), plan.limits)


def more(actions):
    actions[0]["ids"] = [*actions[0]["ids"], "doc-200"]


def fewer(actions):
    actions[0]["ids"] = actions[0]["ids"][1:]


@pytest.mark.fault(26)
@pytest.mark.parametrize("change", [more, fewer])
@pytest.mark.parametrize("refresh", [False, True])
def test_an_edited_plan_is_refused(world, ids, change, refresh):
    world.declare(ids(5))
    with pytest.raises(REFUSALS):
        world.apply(saved=edited(world, change, refresh=refresh))
    assert world.deletes() == []


@pytest.mark.fault(26)
@pytest.mark.parametrize("refresh", [False, True])
def test_an_undeclared_id_is_never_sent_even_from_a_plan_that_was_forged_with_care(world, ids, refresh):
    world.declare(ids(5))
    with pytest.raises(REFUSALS):
        world.apply(saved=edited(world, more, forge=True, refresh=refresh))
    assert world.deletes() == []


@pytest.mark.fault(26)
def test_an_undeclared_id_is_not_sent_as_already_absent_either(world, ids):
    world.declare(["doc-900"])

    def change(actions):
        assert actions[0]["action"] == "already_absent"
        actions[0]["ids"] = ["doc-100"]

    with pytest.raises(REFUSALS):
        world.apply(saved=edited(world, change, forge=True, refresh=True))
    assert world.deletes() == []


@pytest.mark.fault(26)
def test_a_kept_id_is_never_sent_even_from_a_plan_that_was_forged_with_care(world, ids):
    keep = [{"index": "docs", "reason": "hold", "ids": ["doc-200"]}]
    world.manifest({"index": "docs", "reason": "r", "ids": ids(5), "prefixes": ["doc-2"]}, keep=keep)
    with pytest.raises(REFUSALS):
        world.apply(saved=edited(world, more, forge=True, refresh=True))
    assert world.deletes() == []


@pytest.mark.fault(26)
def test_a_fingerprint_that_was_changed_is_refused(world, ids):
    world.declare(ids(5))
    document = json.loads(world.plan_bytes())
    document["fingerprint"] = "sha256:" + "0" * 64
    with pytest.raises(REFUSALS):
        world.apply(saved=decode(json.dumps(document).encode(), path="p.json"))
    assert world.requests() == []


@pytest.mark.fault(26)
def test_a_plan_that_says_it_needs_no_request_sends_all_the_same(world, ids):
    """`requests` is not part of the fingerprint: believing it would turn approved work into quiet nothing."""
    world.declare(ids(5))
    document = json.loads(world.plan_bytes())
    document["summary"]["requests"] = document["indexes"][0]["summary"]["requests"] = 0
    result = world.apply(saved=decode(json.dumps(document).encode(), path="p.json"))
    assert (result.exit_code, result.accepted) == (ExitCode.DONE, 5)


@pytest.mark.fault(26)
def test_a_release_that_the_manifests_do_not_ask_for_is_refused(world, ids):
    world.declare(ids(5))
    world.apply()
    world.declare(ids(6))

    def change(actions):
        actions.append({**actions[0], "action": "release", "reason": "undeclared", "ids": ["doc-001"]})

    with pytest.raises(REFUSALS):
        world.apply(saved=edited(world, change, forge=True, refresh=True))
    assert world.ids(Status.RELEASED) == []


@pytest.mark.fault(26)
@pytest.mark.parametrize("refresh", [False, True])
def test_a_plan_from_which_an_id_was_taken_is_refused_though_its_sums_are_right(world, ids, refresh):
    """Its fingerprint is the approved one: only what it covers says that less would be done than was approved."""
    world.declare(ids(5))

    document = json.loads(world.plan_bytes(refresh=refresh))
    (index,) = document["indexes"]
    fewer(index["actions"])
    index["summary"]["delete"] = document["summary"]["delete"] = 4
    with pytest.raises(PlanFileError, match="does not agree with its own fingerprint"):
        world.apply(saved=decode(json.dumps(document).encode(), path="p.json"))
    assert world.deletes() == []

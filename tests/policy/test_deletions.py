"""The example policy judges plans as this program writes them, in a real Rego engine."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.planfile import encode
from support.needs import unavailable

POLICY = Path(__file__).parent / "deletions.rego"


@pytest.fixture(scope="module")
def judge():
    """`judge(document)`: what the policy denies and warns of, each sorted."""
    try:
        from regopy import Interpreter  # noqa: PLC0415 - a machine may lack it
    except ImportError:
        unavailable("no Rego engine is installed (PyPI: regopy)")

    def ask(document):
        engine = Interpreter()
        engine.add_module("deletions.rego", POLICY.read_text())
        engine.set_input(document)
        return tuple(
            sorted(engine.query(f"data.main.{rule}").results[0].expressions[0]) for rule in ("deny", "warn")
        )

    return ask


def document(world, *, expires=True, **options):
    """The plan as `plan --refresh --expires 24h --format json` prints it."""
    planned = world.plan(**{"refresh": True, **options})
    now = world.clock.now()
    until = now + timedelta(hours=24) if expires else None
    return json.loads("".join(encode(planned.plan, tool_version="0", created_at=now, expires_at=until)))


@pytest.fixture
def settled(world, ids):
    """An index from which ten ids were deleted, for a ticket."""
    world.declare(ids(10))
    world.apply()
    return world


def test_an_ordinary_erasure_passes(settled, ids, judge):
    settled.declare(ids(12))
    assert judge(document(settled)) == ([], [])


def test_the_first_deletion_on_an_index_is_warned_of(world, ids, judge):
    world.declare(ids(3))
    denied, warned = judge(document(world))
    assert denied == []
    assert [each.split(": ")[1] for each in warned] == ["the first deletion on this index that the state knows of"]


def test_a_plan_with_nothing_to_do_is_not_merged_for_a_deletion(settled, judge):
    assert judge(document(settled))[0] == [
        "the plan cannot be applied: it has errors, is refused, or there is nothing to do"
    ]


def test_a_plan_that_did_not_look_is_denied(settled, ids, judge):
    settled.declare(ids(12))
    assert judge(document(settled, refresh=False))[0] == [
        "the live indexes were not read, so max_percent was not checked: plan with --refresh"
    ]


def test_a_plan_that_never_expires_is_denied(settled, ids, judge):
    settled.declare(ids(12))
    assert judge(document(settled, expires=False))[0] == ["the plan never expires: plan with --expires"]


def test_a_narrowed_plan_is_denied(settled, ids, judge):
    settled.declare(ids(12))
    assert judge(document(settled, only="docs"))[0] == ["the plan does not cover everything that is declared"]


def test_more_ids_than_the_policy_allows_are_denied_with_the_count(settled, judge):
    many = [f"new-{n:04}" for n in range(1001)]
    settled.seed(many)
    settled.seed(f"other-{n:05}" for n in range(5000))
    settled.declare([f"doc-{n:03}" for n in range(10)] + many)
    assert judge(document(settled))[0] == ["docs: 1001 ids would be sent, more than 1000"]


def test_a_deletion_for_no_ticket_is_denied(settled, ids, judge):
    settled.manifest({"index": "docs", "reason": "clean-up", "ids": ids(2, 50)}, name="other.yaml")
    assert judge(document(settled))[0] == ["docs: 2 ids are deleted for no ticket"]


def test_a_mass_release_is_denied_and_any_release_is_warned_of(settled, ids, judge):
    settled.declare(ids(6))
    denied, warned = judge(document(settled))
    assert [each.partition("] ")[2] for each in denied] == ["Many releases, 40.00 % is over 30 % (4/10)"]
    assert warned == ["4 ids would not be enforced any more"]


def test_an_emptied_manifest_is_denied(settled, judge):
    settled.write("manifests/gdpr.yaml", "version: 1\n")
    assert "nothing is declared, but the state remembers 10 ids of 1 index" in judge(document(settled))[0]


def test_an_index_that_was_created_again_is_denied(settled, ids, judge):
    settled.emulator.delete_index(settled.account, "docs")
    settled.clock.advance(1)
    settled.seed(f"doc-{n:03}" for n in range(300))
    denied = judge(document(settled))[0]
    assert [each.split(": ")[1] for each in denied] == ["the index was deleted and created again"]

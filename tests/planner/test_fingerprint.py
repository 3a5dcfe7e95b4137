"""What an approval binds to, and what may change without asking again."""

from __future__ import annotations

import re

import pytest

from reconciler.model.desired import FileDigest
from reconciler.model.limits import IndexLimits, Limits
from reconciler.model.tombstones import Status


@pytest.fixture(scope="module")
def base(build):
    """Arguments of a plan that sends, releases, waits and has a prefix."""
    record = build.record({Status.UNRESOLVED: "b", Status.ACCEPTED: "c", Status.VERIFIED: "de"})
    return {
        "desired": build.desired(build.declaration(*"abcd", prefixes=["user/"])),
        "state": build.state(record),
        "seen": None,
        "limits": Limits(),
    }


def test_it_is_sha256_in_hex(build, base):
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", build.plan(**base).fingerprint)


def changes(build):
    declared = build.declaration
    one = {Status.UNRESOLVED: "b", Status.ACCEPTED: "c", Status.VERIFIED: "de"}
    return {
        "one id more to send": {"desired": build.desired(declared(*"abcdf", prefixes=["user/"]))},
        "one id less to send": {"desired": build.desired(declared(*"bcd", prefixes=["user/"]))},
        "another id instead": {"desired": build.desired(declared(*"Abcd", prefixes=["user/"]))},
        "the same ids by another action": {"state": build.state(build.record({**one, Status.UNRESOLVED: "ab"}))},
        "one release less": {"state": build.state(build.record({**one, Status.VERIFIED: "d"}))},
        "the pin": {"state": build.state(build.record(one, created_on="2026-09-09"))},
        "a pin where there was none": {"state": build.state(build.record(one, created_on=None))},
        "another prefix": {"desired": build.desired(declared(*"abcd", prefixes=["users/"]))},
        "no prefix": {"desired": build.desired(declared(*"abcd"))},
        "a resolved prefix": {"seen": build.look("a", "b", matches={"user/": []})},
        "the digest of a file": {
            "desired": build.desired(
                declared(*"abcd", prefixes=["user/"]), files=(FileDigest("m/one.yaml", "11" * 32),)
            )
        },
        "a file more": {
            "desired": build.desired(
                declared(*"abcd", prefixes=["user/"]),
                files=(FileDigest("m/one.yaml", "00" * 32), FileDigest("m/two.yaml", "00" * 32)),
            )
        },
        "max_deletes": {"limits": Limits(max_deletes=9_999)},
        "max_percent": {"limits": Limits(max_percent=31)},
        "an override": {"limits": Limits(per_index={"articles": IndexLimits(9_999, 30.0)})},
        "another index": {"desired": build.desired(declared(*"abcd", prefixes=["user/"], index="notes"))},
        "another account": {"desired": build.desired(declared(*"abcd", prefixes=["user/"], account="b" * 32))},
        "a keep": {
            "desired": build.desired(declared(*"abcd", prefixes=["user/"]), keeps=[build.keep("b")]),
        },
    }


def test_whatever_would_be_done_otherwise_needs_a_new_approval(build, base):
    seen = {"as it was": build.plan(**base).fingerprint}
    for what, change in changes(build).items():
        seen[what] = build.plan(**{**base, **change}).fingerprint
    assert len(set(seen.values())) == len(seen), seen


def test_the_recreated_index_is_approved_by_its_own_created_on(build, base):
    first, second = (
        build.plan(**{**base, "seen": build.look(*"abcd", created_on=made, matches={"user/": []})}).fingerprint
        for made in ("2026-09-09", "2026-10-10")
    )
    assert first != second


@pytest.mark.parametrize(
    "more",
    [{"position": 13}, {"head": "f" * 64}, {"lineage": "other"}, {"next_batch": 7}, {"requests": (("t", 5),)}],
)
def test_the_place_in_the_log_is_no_part_of_it(build, base, more):
    state = build.changed(base["state"], **more)
    plan = build.plan(**{**base, "state": state})
    assert plan.fingerprint == build.plan(**base).fingerprint
    assert plan.state.position == state.position


@pytest.mark.parametrize(
    "statuses",
    [
        {Status.UNRESOLVED: "b", Status.PROCESSED: "c", Status.VERIFIED: "de"},
        {Status.UNRESOLVED: "b", Status.VERIFIED: "cde"},
        {Status.UNRESOLVED: "b", Status.ACCEPTED: "cd", Status.PROCESSED: "e"},
    ],
)
def test_progress_from_accepted_to_verified_never_makes_an_approval_stale(build, base, statuses):
    plan = build.plan(**{**base, "state": build.state(build.record(statuses))})
    assert plan.indexes != build.plan(**base).indexes
    assert plan.fingerprint == build.plan(**base).fingerprint


def test_ids_found_absent_are_no_part_of_it(build):
    def planned(*absent):
        desired = build.desired(build.declaration("x", *absent))
        return build.plan(desired, build.state(build.record({})), build.look("x", asked=absent))

    assert planned().summary.already_absent == 0
    assert planned("y", "z").summary.already_absent == 2
    assert planned().fingerprint == planned("y", "z").fingerprint


def test_moved_lines_and_other_reasons_are_covered_by_the_digest_of_their_file_alone(build):
    one = build.plan(build.desired(build.declaration("x", line=3, reason="one")))
    other = build.plan(build.desired(build.declaration("x", line=30, reason="other")))
    assert one.fingerprint == other.fingerprint


def test_how_ids_are_spread_over_declarations_is_no_part_of_it(build):
    together = build.plan(build.desired(build.declaration("x", "y")))
    apart = build.plan(build.desired(build.declaration("x"), build.declaration("x", "y", line=9)))
    assert together.fingerprint == apart.fingerprint

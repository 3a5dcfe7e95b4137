"""What the plan tells about a declaration that is not what it was when it was applied."""

from __future__ import annotations

import sys
from datetime import date

import pytest

from reconciler.model.limits import Limits
from reconciler.model.tombstones import Status


def change(build, before, after, *, limits_before=None, limits=None, lapsed=False):
    state = build.state(
        build.record({Status.VERIFIED: "x"}), declarations=[build.applied(before, limits=limits_before)]
    )
    desired = build.desired(lapsed=[after]) if lapsed else build.desired(after)
    plan = build.plan(desired, state, limits=limits)
    return [d for d in plan.diagnostics if d.code == "declaration-changed"]


def test_a_declaration_that_did_not_change_is_not_mentioned_and_costs_no_import(build, monkeypatch):
    monkeypatch.setitem(sys.modules, "deepdiff", None)
    assert change(build, build.declaration("x"), build.declaration("x", line=40)) == []


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"reason": "ticket 2"}, 'reason: "why" → "ticket 2"'),
        ({"reason": "a\nb"}, r'reason: "why" → "a\nb"'),
        ({"until": date(2027, 5, 22)}, 'until: none → "2027-05-22"'),
        ({"prefixes": ["user/"]}, 'prefixes[0]: added "user/"'),
    ],
)
def test_what_changed_is_said_in_a_line_that_people_read(build, more, line):
    (said,) = change(build, build.declaration("x"), build.declaration("x", **more))
    assert said.severity == "note"
    assert said.detail == line
    assert said.position == build.declaration("x").position


def test_a_changed_list_says_how_many_ids_and_never_which(build):
    (said,) = change(build, build.declaration("x"), build.declaration("x", "secret"))
    assert said.detail == "ids: 1 → 2 ids"
    (said,) = change(build, build.declaration("x", "y"), build.declaration("x", "secret"))
    assert said.detail == "ids: 2 ids, not all of them the same"


def test_a_list_that_came_or_went_is_told(build):
    (said,) = change(build, build.declaration(prefixes=["user/"]), build.declaration("x", prefixes=["user/"]))
    assert said.detail == "ids: added, 1 id"
    (said,) = change(build, build.declaration("x", "y"), build.declaration(prefixes=["user/"]))
    assert said.detail.splitlines()[0] == "ids: removed, 2 ids"


def test_a_raised_limit_is_told(build):
    same = build.declaration("x")
    (said,) = change(build, same, same, limits_before=Limits(), limits=Limits(max_deletes=50_000, max_percent=100))
    assert said.detail.splitlines() == ["limits.max_deletes: 10000 → 50000", "limits.max_percent: 30.0 → 100"]


def test_a_lapsed_declaration_is_compared_too(build):
    lapsed = build.declaration("x", until=date(2026, 1, 1))
    (said,) = change(build, build.declaration("x"), lapsed, lapsed=True)
    assert said.detail == 'until: none → "2026-01-01"'


def changes(build, applied, declared):
    """What is said of each declaration that is told of; `applied` and `declared`: (id, reason), in their places."""
    before = [build.declaration(id_, reason=reason, ordinal=n) for n, (id_, reason) in enumerate(applied, 1)]
    after = [build.declaration(id_, reason=reason, ordinal=n) for n, (id_, reason) in enumerate(declared, 1)]
    state = build.state(
        build.record({Status.VERIFIED: {id_ for id_, _ in applied}}),
        declarations=[build.applied(each, number) for number, each in enumerate(before, 1)],
    )
    plan = build.plan(build.desired(*after), state)
    return [d.detail for d in plan.diagnostics if d.code == "declaration-changed"]


TICKETS = [("a", "T-1"), ("b", "T-2"), ("c", "T-3"), ("d", "T-4")]


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (TICKETS, []),
        ([("x", "T-0"), *TICKETS], []),
        ([*TICKETS[:2], ("x", "T-0"), *TICKETS[2:]], []),
        (TICKETS[1:], []),
        ([TICKETS[0], *TICKETS[2:]], []),
        ([TICKETS[0], *TICKETS[2:], ("x", "T-9")], []),
        (TICKETS[::-1], []),
        ([*TICKETS, TICKETS[1]], []),
        ([*TICKETS, ("x", "T-4")], []),
        ([("x", "T-0"), ("a", "T-1"), ("y", "T-2"), *TICKETS[2:]], ["ids: 1 id, not all of them the same"]),
        ([("a", "T-1"), ("b", "T-2, asked again"), *TICKETS[2:]], ['reason: "T-2" → "T-2, asked again"']),
    ],
)
def test_what_only_moved_has_not_changed(build, declared, told):
    assert changes(build, TICKETS, declared) == told


def test_entries_that_give_the_same_reason_are_told_apart_by_what_they_name(build):
    same = [(id_, "Art. 17") for id_ in "abcd"]
    assert changes(build, same, [("x", "Art. 17"), *same]) == []
    assert changes(build, same, [*same[:1], ("y", "Art. 17"), *same[2:]]) == [
        "ids: 1 id, not all of them the same"
    ]


def test_a_record_that_was_left_behind_when_its_entry_moved_is_none_of_a_new_one(build):
    """A, B, C, D were applied, then A, C, D: the fourth place still has D in the log, and a lapsed entry takes it."""
    applied = [
        build.applied(build.declaration(id_, reason=reason, ordinal=ordinal), number)
        for number, (id_, reason, ordinal) in enumerate(
            [("a", "A", 1), ("b", "B", 2), ("c", "C", 3), ("d", "D", 4), ("c", "C", 2), ("d", "D", 3)], 1
        )
    ]
    state = build.state(build.record({Status.VERIFIED: "acd"}), declarations=applied)
    now = [build.declaration(id_, reason=id_.upper(), ordinal=n) for n, id_ in enumerate("acd", 1)]
    lapsed = build.declaration("l", reason="L", ordinal=4, until=date(2020, 1, 1))
    plan = build.plan(build.desired(*now, lapsed=[lapsed]), state)
    assert "note: declaration-changed" not in build.codes(plan)


def test_the_last_application_is_the_one_compared_with(build):
    old, new = build.declaration("x", reason="old"), build.declaration("x", reason="new")
    state = build.state(
        build.record({Status.VERIFIED: "x"}), declarations=[build.applied(old, 1), build.applied(new, 2)]
    )
    assert "note: declaration-changed" not in build.codes(build.plan(build.desired(new), state))
    assert "note: declaration-changed" in build.codes(build.plan(build.desired(old), state))


def test_declarations_of_another_index_are_not_compared_with(build):
    before = build.applied(build.declaration("x", reason="other"), target=2)
    state = build.state(
        build.record({Status.VERIFIED: "x"}, declared={}),
        build.record({}, number=2, index="notes"),
        declarations=[before],
    )
    assert "note: declaration-changed" not in build.codes(build.plan(build.desired(build.declaration("x")), state))

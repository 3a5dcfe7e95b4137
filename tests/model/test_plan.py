from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.diagnostic import error, refusal, warning
from reconciler.model.idset import IdSet
from reconciler.model.plan import (
    CHANGING,
    SENDING,
    Action,
    ActionKind,
    ActionSource,
    IndexPlan,
    Plan,
    StateRef,
    Summary,
)
from reconciler.model.target import Target

TARGET = Target("https://api.example", "a" * 32, "articles")
EMPTY = Plan(
    "sha256:0", StateRef("", 0, "0" * 64), (), observed=False, complete=True, summary=Summary(), indexes=()
)


def test_symbols_are_those_of_the_published_legend():
    legend = {kind.symbol: kind.value for kind in ActionKind}
    assert legend == {
        "-": "delete",
        "?": "resend",
        "!": "reappeared",
        "~": "confirm",
        "o": "already_absent",
        ".": "release",
        "=": "unchanged",
        "x": "blocked",
    }


def test_only_three_kinds_send():
    assert {kind for kind in ActionKind if kind.sends} == set(SENDING)
    assert [kind.symbol for kind in SENDING] == ["-", "?", "!"]


def test_a_summary_has_a_count_for_every_kind():
    one = Summary(**{kind.value: number for number, kind in enumerate(ActionKind, 1)}, requests=9)
    assert [one.of(kind) for kind in ActionKind] == [*range(1, 9)]
    assert one.sends == 1 + 2 + 3
    assert list(one.as_dict()) == [*(kind.value for kind in ActionKind), "requests"]
    assert Summary.total([one, one]).as_dict() == {name: 2 * count for name, count in one.as_dict().items()}
    assert Summary.total([]) == Summary()


@pytest.mark.parametrize("kind", ActionKind)
def test_what_counts_as_a_change_and_what_merely_waits(kind):
    plan = replace(EMPTY, summary=Summary(**{kind.value: 1}))
    assert plan.changes is (kind in CHANGING)
    assert plan.pending is (kind is ActionKind.CONFIRM)
    assert plan.applyable is (kind in CHANGING or kind is ActionKind.CONFIRM)


@pytest.mark.parametrize(
    ("diagnostic", "applyable"), [(error("c", "s"), False), (refusal("c", "s"), False), (warning("c", "s"), True)]
)
def test_an_errored_or_refused_plan_is_never_applyable(diagnostic, applyable):
    plan = replace(EMPTY, summary=Summary(delete=1), diagnostics=(diagnostic,))
    assert plan.applyable is applyable
    assert plan.changes


def test_a_plan_with_an_unresolved_prefix_is_a_change_that_cannot_be_applied():
    plan = replace(EMPTY, summary=Summary(delete=1), unresolved_prefixes=True)
    assert plan.changes
    assert not plan.applyable
    assert replace(EMPTY, unresolved_prefixes=True).changes


def test_what_is_to_send_is_nothing_but_the_sending_actions():
    actions = tuple(Action(kind, "r", (), IdSet.of([kind.value])) for kind in ActionKind)
    index = IndexPlan(TARGET, None, Summary(), actions)
    assert set(index.to_send) == {"delete", "resend", "reappeared"}
    assert set(index.ids(ActionKind.RELEASE, ActionKind.CONFIRM)) == {"release", "confirm"}
    assert not index.ids()
    assert [action.kind for _, action in replace(EMPTY, indexes=(index,)).actions()] == list(ActionKind)


def test_actions_sort_by_kind_as_listed_then_reason_then_source():
    def action(kind, reason="a", line=1):
        return Action(kind, reason, (ActionSource("m", line, ""),), IdSet.of("x"))

    ordered = [
        action(ActionKind.DELETE),
        action(ActionKind.DELETE, "b", 2),
        action(ActionKind.DELETE, "b", 10),
        action(ActionKind.RESEND),
        action(ActionKind.CONFIRM),
        action(ActionKind.BLOCKED),
    ]
    assert sorted([*ordered[3:], *ordered[:3]], key=lambda each: each.sort_key) == ordered

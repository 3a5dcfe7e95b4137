from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.comparison import compare
from reconciler.model.idset import IdSet
from reconciler.model.plan import Action, ActionKind, IndexPlan, Plan, StateRef, Summary
from reconciler.model.target import Target

LISTED = [kind for kind in ActionKind if kind is not ActionKind.UNCHANGED]


def plan(actions, *, state=1):
    """A plan of {index: {kind: ids}}."""
    indexes = tuple(
        IndexPlan(
            Target("loopback", "a" * 32, name),
            None,
            Summary(),
            tuple(Action(kind, "why", (), IdSet.of(ids)) for kind, ids in kinds.items() if ids),
        )
        for name, kinds in sorted(actions.items())
    )
    return Plan("sha256:0", StateRef("L", state, "h"), (), False, True, Summary(), indexes)


def parts(found):
    return {
        (index.target.index, action.kind): {name: list(ids) for name, ids in action.parts()}
        for index in found.indexes
        for action in index.actions
    }


def test_what_only_one_has_is_introduced_or_gone_and_what_both_have_was_pending_anyway():
    found = compare(plan({"docs": {ActionKind.DELETE: "abc"}}), plan({"docs": {ActionKind.DELETE: "bcd"}}))
    assert parts(found) == {
        ("docs", ActionKind.DELETE): {"introduced": ["a"], "pending_anyway": ["b", "c"], "gone": ["d"]}
    }


def test_an_id_whose_action_changed_is_gone_there_and_introduced_here():
    found = compare(plan({"docs": {ActionKind.RELEASE: "a"}}), plan({"docs": {ActionKind.DELETE: "a"}}))
    assert parts(found) == {
        ("docs", ActionKind.DELETE): {"introduced": [], "pending_anyway": [], "gone": ["a"]},
        ("docs", ActionKind.RELEASE): {"introduced": ["a"], "pending_anyway": [], "gone": []},
    }


def test_the_same_id_of_another_index_is_another_id():
    found = compare(plan({"docs": {ActionKind.DELETE: "a"}}), plan({"more": {ActionKind.DELETE: "a"}}))
    assert (found.sends("introduced"), found.sends("pending_anyway"), found.sends("gone")) == (1, 0, 1)


def test_plans_of_other_places_of_the_state_are_known_as_such():
    assert compare(plan({}), plan({})).same_state
    assert not compare(plan({}), plan({}, state=2)).same_state


ids = st.frozensets(st.sampled_from("abcdefgh"))
plans = st.dictionaries(st.sampled_from(["docs", "more"]), st.dictionaries(st.sampled_from(LISTED), ids)).map(plan)


@given(plans, plans)
@settings(max_examples=60, deadline=None)
def test_introduced_and_pending_anyway_are_the_plan_and_gone_is_the_rest_of_the_other(head, base):
    found = compare(head, base)
    for kind in LISTED:
        mine = {(i.target, each) for i in head.indexes for each in i.ids(kind)}
        other = {(i.target, each) for i in base.indexes for each in i.ids(kind)}
        assert found.count("introduced", kind) == len(mine - other)
        assert found.count("pending_anyway", kind) == len(mine & other)
        assert found.count("gone", kind) == len(other - mine)
    assert not any(not (a.introduced or a.pending_anyway or a.gone) for i in found.indexes for a in i.actions)

"""What is decided for one id: the planner's table, row by row, as its docstring prints it."""

from __future__ import annotations

import pytest

from reconciler import planner
from reconciler.model.idset import IdSet
from reconciler.model.limits import ApiSettings
from reconciler.model.plan import ActionKind
from reconciler.model.tombstones import Status

DEFAULT_API = ApiSettings()
OFFLINE, PRESENT, ABSENT = "offline", "present", "absent"

TABLE = {
    None: ("- new", "- new", "o found-absent"),
    Status.RELEASED: ("- declared-again", "- declared-again", "o found-absent"),
    Status.UNRESOLVED: ("? outcome-unknown", "? outcome-unknown", "o found-absent"),
    Status.ACCEPTED: ("~ accepted", "~ accepted", "~ accepted"),
    Status.PROCESSED: ("~ processed", "~ processed", "~ processed"),
    Status.VERIFIED: ("=", "! reappeared", "="),
    Status.REAPPEARED: ("! reappeared", "! reappeared", "o found-absent"),
}


def planned(build, status, seen, **more):
    state = build.state(build.record({} if status is None else {status: ["x"]}))
    look = {OFFLINE: None, PRESENT: build.look("x"), ABSENT: build.look(asked=["x"])}[seen]
    return build.plan(build.desired(build.declaration("x"), **more), state, look)


@pytest.mark.parametrize("status", TABLE)
@pytest.mark.parametrize(("column", "seen"), [(0, OFFLINE), (1, PRESENT), (2, ABSENT)])
def test_each_cell_of_the_table(build, status, column, seen):
    plan = planned(build, status, seen)
    expected = TABLE[status][column]
    assert build.fates(plan) == ({} if expected == "=" else {"x": expected})
    assert plan.summary.unchanged == (expected == "=")


def test_the_table_above_is_the_one_that_the_docstring_prints():
    rows = {}
    for line in (planner.__doc__ or "").splitlines():
        words = line.split()
        for name in ("nothing,", "unresolved", "accepted", "processed", "verified", "reappeared"):
            if words and words[0] == name:
                rows[name] = [word for word in words if len(word) == 1]
    symbols = {status: [cell[0] for cell in cells] for status, cells in TABLE.items()}
    assert rows["nothing,"] == symbols[None] == symbols[Status.RELEASED]
    for status in (s for s in Status if s is not Status.RELEASED):
        assert rows[status.value] == symbols[status]


@pytest.mark.parametrize("status", TABLE)
@pytest.mark.parametrize("seen", [OFFLINE, PRESENT, ABSENT])
def test_a_kept_id_is_never_sent_whatever_is_remembered_or_seen(build, status, seen):
    for keep in (build.keep("x"), build.keep(prefixes=["x"])):
        plan = planned(build, status, seen, keeps=[keep])
        assert build.fates(plan) == {"x": "x kept"}
        assert plan.refused
        assert not plan.applyable
        assert plan.summary.requests == 0


@pytest.mark.parametrize("status", TABLE)
def test_nothing_is_sent_to_an_index_that_is_missing(build, status):
    state = build.state(build.record({} if status is None else {status: ["x"]}))
    plan = build.plan(build.desired(build.declaration("x")), state, build.missing())
    assert build.fates(plan) == {"x": "x index-missing"}
    assert "warning: index-missing" in build.codes(plan)


def test_a_missing_index_does_not_hold_back_the_others(build):
    desired = build.desired(build.declaration("x"), build.declaration("y", index="notes"))
    plan = build.plan(desired, None, build.missing())
    assert build.fates(plan) == {"x": "x index-missing", "y": "- new"}
    assert plan.applyable
    assert plan.summary.blocked == plan.summary.delete == plan.summary.requests == 1


@pytest.mark.parametrize("status", TABLE)
def test_what_was_proven_of_a_deleted_index_never_counts_for_its_successor(build, status):
    state = build.state(build.record({} if status is None else {status: ["x"]}))
    look = build.look("x", created_on="2026-09-09T00:00:00Z")
    plan = build.plan(build.desired(build.declaration("x")), state, look)
    assert build.fates(plan) == {"x": "- index-recreated"}
    (index,) = plan.indexes
    assert index.created_on == build.pin
    assert index.observed_created_on == "2026-09-09T00:00:00Z"
    (warned,) = [d for d in plan.diagnostics if d.code == "index-recreated"]
    assert build.pin in warned.detail
    assert "2026-09-09" in warned.detail


def test_an_index_that_was_never_pinned_is_not_called_recreated(build):
    state = build.state(build.record({Status.VERIFIED: ["x"]}, created_on=None))
    plan = build.plan(build.desired(build.declaration("x")), state, build.look(asked=["x"]))
    assert plan.summary.unchanged == 1
    assert plan.indexes[0].observed_created_on is None


def test_tombstones_of_a_closed_record_count_for_nothing(build):
    old = build.record({Status.VERIFIED: ["x", "gone"]}, closed=True)
    plan = build.plan(build.desired(build.declaration("x")), build.state(old))
    assert build.fates(plan) == {"x": "- new"}


@pytest.mark.parametrize("status", Status)
def test_tombstones_of_a_deleted_index_are_history_neither_sent_again_nor_released(build, status):
    state = build.state(build.record({status: ["undeclared", "lapsed"]}))
    desired = build.desired(build.declaration("x"), lapsed=[build.declaration("lapsed", ordinal=2)])
    plan = build.plan(desired, state, build.look("x", created_on="2026-09-09T00:00:00Z"))
    assert build.fates(plan) == {"x": "- index-recreated"}


def test_an_id_that_the_successor_of_an_index_does_not_hold_is_proven_there_without_a_delete(build):
    state = build.state(build.record({Status.VERIFIED: ["x", "y"]}))
    look = build.look("x", asked=["y"], created_on="2026-09-09T00:00:00Z")
    plan = build.plan(build.desired(build.declaration("x", "y")), state, look)
    assert build.fates(plan) == {"x": "- index-recreated", "y": "o found-absent"}


# Releases


def test_an_id_no_longer_declared_is_released_with_the_place_that_had_declared_it(build):
    plan = build.plan(build.desired(build.declaration("y")), build.state(build.record({Status.VERIFIED: "xy"})))
    assert build.fates(plan) == {"x": ". undeclared"}
    ((_, action),) = plan.actions()
    assert [(s.path, s.line, s.reason) for s in action.sources] == [(build.manifest, 3, "why")]
    assert plan.summary.requests == 0
    assert plan.applyable


@pytest.mark.parametrize(("scope", "released"), [(".", True), ("m", True), ("m/one.yaml", False), ("n", False)])
def test_planning_a_part_of_the_manifests_never_releases_the_rest(build, scope, released):
    records = [
        build.applied(build.declaration("x", manifest="m/one.yaml"), 1),
        build.applied(build.declaration("x", manifest="m/two.yaml"), 2),
    ]
    state = build.state(build.record({Status.VERIFIED: "x"}, declared={(1, 2): "x"}), declarations=records)
    plan = build.plan(build.desired(scope=(scope,)), state)
    assert build.fates(plan) == ({"x": ". undeclared"} if released else {})


def test_a_lapsed_declaration_never_releases_what_a_manifest_outside_of_the_paths_declares(build):
    lapsed = build.declaration("x", "y", manifest="m/one.yaml")
    records = [
        build.applied(lapsed, 1),
        build.applied(build.declaration("x", manifest="m/two.yaml"), 2),
    ]
    remembered = build.record({Status.VERIFIED: "xy"}, declared={(1,): "y", (1, 2): "x"})
    state = build.state(remembered, declarations=records)
    assert build.fates(build.plan(build.desired(lapsed=[lapsed], scope=("m/one.yaml",)), state)) == {
        "y": ". lapsed"
    }
    assert build.fates(build.plan(build.desired(lapsed=[lapsed], scope=("m",)), state)) == {
        "x": ". lapsed",
        "y": ". lapsed",
    }


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (None, None),
        (Status.RELEASED, None),
        (Status.UNRESOLVED, "x lapsed-unknown"),
        (Status.ACCEPTED, "~ lapsed-unverified"),
        (Status.PROCESSED, "~ lapsed-unverified"),
        (Status.VERIFIED, ". lapsed"),
        (Status.REAPPEARED, ". lapsed"),
    ],
)
def test_a_lapsed_id_is_never_sent_again_and_what_was_accepted_is_followed_to_its_proof(build, status, fate):
    state = build.state(build.record({} if status is None else {status: "x"}))
    plan = build.plan(build.desired(lapsed=[build.declaration("x")]), state)
    assert build.fates(plan) == ({} if fate is None else {"x": fate})


def test_a_lapsed_id_whose_outcome_is_unknown_is_not_let_go_and_a_warning_says_what_to_do(build):
    plan = build.plan(
        build.desired(lapsed=[build.declaration("x")]), build.state(build.record({Status.UNRESOLVED: "x"}))
    )
    assert "lapsed-unknown" in [d.code for d in plan.diagnostics]
    assert plan.summary.release == 0


def test_an_id_that_another_declaration_still_names_does_not_lapse(build):
    desired = build.desired(build.declaration("x"), lapsed=[build.declaration("x", line=30, ordinal=2)])
    plan = build.plan(desired, build.state(build.record({Status.VERIFIED: "x"})))
    assert build.fates(plan) == {}
    assert plan.summary.unchanged == 1


def test_releasing_what_was_never_verified_is_said_loudly(build):
    state = build.state(build.record({Status.VERIFIED: "x", Status.ACCEPTED: "yz"}))
    plan = build.plan(build.desired(), state)
    (warned,) = [d for d in plan.diagnostics if d.code == "released-unverified"]
    assert warned.severity == "warning"
    assert "2 of 3 released ids" in warned.summary
    assert not [
        d
        for d in build.plan(build.desired(), build.state(build.record({Status.VERIFIED: "x"}))).diagnostics
        if d.code == "released-unverified"
    ]


# Sources


def test_an_action_names_every_place_that_declares_its_ids(build):
    desired = build.desired(
        build.declaration("x", "y", line=10, reason="one"),
        build.declaration("y", "z", line=20, reason="two"),
    )
    places = {
        tuple(action.ids): [(s.line, s.reason) for s in action.sources]
        for _, action in build.plan(desired).actions()
    }
    assert places == {
        ("x",): [(11, "one")],
        ("y",): [(11, "one"), (21, "two")],
        ("z",): [(21, "two")],
    }


def test_ids_of_one_kind_reason_and_place_are_one_action(build):
    declaration = build.declaration(prefixes=["p/", "q/"])
    plan = build.plan(build.desired(declaration), None, build.look(matches={"p/": ["p/1"], "q/": ["q/1"]}))
    (action,) = [action for _, action in plan.actions()]
    assert action.kind is ActionKind.DELETE
    assert action.ids == IdSet.of(["p/1", "q/1"])


def test_one_place_recorded_twice_is_one_release(build):
    declaration = build.declaration("x", "y")
    records = [build.applied(declaration, 1), build.applied(declaration, 2, until="2030-01-01")]
    remembered = build.record({Status.VERIFIED: "xy"}, declared={(1,): "x", (2,): "y"})
    plan = build.plan(build.desired(), build.state(remembered, declarations=records))
    (action,) = [action for _, action in plan.actions()]
    assert action.ids == IdSet.of("xy")


# Requests


@pytest.mark.parametrize(
    ("ids", "batch_size", "requests"),
    [(0, 100, 0), (1, 100, 1), (100, 100, 1), (101, 100, 2), (2350, 100, 24), (10, 3, 4)],
)
def test_batches_are_full(build, ids, batch_size, requests):
    names = [f"id-{number}" for number in range(ids)]
    plan = build.plan(
        build.desired(build.declaration(*names)), api=build.changed(DEFAULT_API, batch_size=batch_size)
    )
    assert plan.summary.requests == requests


def test_batches_are_filled_across_kinds_and_declarations_but_not_across_indexes(build):
    half = [f"x{number}" for number in range(50)]
    other = [f"y{number}" for number in range(50)]
    state = build.state(build.record({Status.UNRESOLVED: other}))
    declarations = [build.declaration(*half), build.declaration(*other, line=9)]
    assert build.plan(build.desired(*declarations), state).summary.requests == 1
    plan = build.plan(build.desired(*declarations, build.declaration("z", index="notes")), state)
    assert plan.summary.requests == 2
    assert [index.summary.requests for index in plan.indexes] == [1, 1]


def test_an_index_with_nothing_but_ids_found_absent_costs_one_request_as_a_barrier(build):
    names = [f"id-{number}" for number in range(250)]
    desired = build.desired(build.declaration(*names))
    only_absent = build.plan(desired, None, build.look(asked=names))
    assert only_absent.summary.already_absent == 250
    assert only_absent.summary.requests == 1
    one_present = build.plan(desired, None, build.look("id-0", asked=names))
    assert one_present.summary.requests == 1
    assert one_present.summary.delete == 1


def test_the_least_time_is_that_of_all_requests_under_the_budget(build):
    names = [f"id-{number}" for number in range(30)]
    api = build.changed(DEFAULT_API, batch_size=1, requests_per_five_minutes=10)
    plan = build.plan(build.desired(build.declaration(*names)), api=api)
    assert plan.summary.requests == 30
    assert plan.least_seconds == api.least_seconds(30) == 600.0

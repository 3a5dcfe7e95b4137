"""Which of N ids are there: the cheaper way, one snapshot, and nothing doubtful read as absence."""

from __future__ import annotations

import itertools
import json
from math import ceil

import pytest

from reconciler.errors import IndexNotFound, Interrupted, RequestRejected, ServiceFault
from reconciler.model.idset import IdSet
from reconciler.model.observation import Presence
from reconciler.model.target import LOOPBACK, Target
from reconciler.model.tombstones import Projection
from reconciler.observer import IndexRecreated, Observer
from reconciler.operations.context import load


@pytest.fixture
def target(world):
    return Target(LOOPBACK, world.account, "docs")


@pytest.fixture
def observer(world):
    context = world.context()
    budget = context.budget(Projection())
    with context.client(budget) as client, context.dispatcher(budget) as dispatcher:
        yield Observer(client, dispatcher, world.clock)


def many(count, start=0):
    return IdSet.of(f"n-{n:05}" for n in range(start, start + count))


def operations(world):
    return [entry.operation for entry in world.requests()]


@pytest.mark.parametrize(
    ("asked", "vectors", "how", "cost"),
    [
        (1, 0, "get_by_ids", 1),
        (20, 300, "get_by_ids", 1),
        (21, 300, "list", 1),
        (21, 1000, "list", 1),
        (40, 1001, "get_by_ids", 2),  # both cost two: by name, as that needs no snapshot
        (41, 1001, "list", 2),
        (60, 2000, "list", 2),
        (60, 2001, "get_by_ids", 3),
        (61, 2001, "list", 3),
        (100, 5000, "get_by_ids", 5),
        (101, 5000, "list", 5),
    ],
)
def test_the_cheaper_way_is_taken_exactly(world, observer, target, asked, vectors, how, cost):
    world.emulator.remove(world.account, "docs", world.live())
    world.seed(many(vectors))
    reading = observer.read(target, many(asked), live_count=vectors)
    assert reading.how == how
    assert len(world.requests()) == cost == min(ceil(asked / 20), max(1, ceil(vectors / 1000)))
    assert reading.present == many(min(asked, vectors))


def test_without_a_count_the_first_page_tells_which_way_is_cheaper(world, observer, target):
    world.seed(many(5000))
    reading = observer.read(target, many(40))
    assert reading.how == "get_by_ids"
    assert operations(world) == ["list", "get_by_ids", "get_by_ids"]


def test_a_count_that_lies_costs_one_page_at_most(world, observer, target):
    world.seed(many(5000))
    reading = observer.read(target, many(60), live_count=1)
    assert reading.how == "get_by_ids"
    assert operations(world) == ["list"] + ["get_by_ids"] * 3
    assert reading.present == many(60)


@pytest.mark.parametrize("status", [400, 404, 410])
def test_an_expired_cursor_starts_the_list_again_once_and_never_joins_two_snapshots(
    world, observer, target, status
):
    world.seed(many(2000))
    world.fault("error", operation="list", status=status, code=None, message="cursor expired", nth=2)

    def change(request):
        if request.url.params.get("cursor") is None and len(world.requests("list")) == 2:
            world.emulator.remove(world.account, "docs", many(10))

    world.bridge.before.append(change)
    reading = observer.read(target, many(1000), live_count=2300)
    assert (reading.how, reading.present) == ("list", many(990, 10))
    cursors = [entry.arguments.get("cursor") for entry in world.requests("list")]
    assert [cursor is None for cursor in cursors] == [True, False, True, False, False]


def test_a_cursor_that_expires_twice_falls_back_to_asking_by_name(world, observer, target):
    world.seed(many(2000))
    world.fault("error", operation="list", status=410, nth=2)
    world.fault("error", operation="list", status=410, nth=4)
    reading = observer.read(target, many(100), live_count=2300)
    assert (reading.how, reading.present) == ("get_by_ids", many(100))
    assert reading.note


def test_a_list_that_cannot_end_within_its_cursors_life_says_both_figures(make_world):
    world = make_world(cursor_lifetime=5.0)
    world.seed(many(20_000))
    target = Target(LOOPBACK, world.account, "docs")
    context = world.context()
    budget = context.budget(Projection())
    with context.client(budget) as client, context.dispatcher(budget) as dispatcher:
        observer = Observer(client, dispatcher, world.clock)
        world.fault("delay_after", operation="list", seconds=2, times=None)
        reading = observer.read(target, many(1000), live_count=20_000)
    assert (reading.how, reading.present) == ("get_by_ids", many(1000))
    assert "19 more pages need about 38 s, the cursor lives 3 s" in reading.note


def page(ids, total, cursor, *, truncated=True):
    return {
        "count": len(ids),
        "totalCount": total,
        "isTruncated": truncated,
        "nextCursor": cursor,
        "cursorExpirationTimestamp": None,
        "vectors": [{"id": each} for each in ids],
    }


def serve(world, *pages):
    """The list's answers, one after another; the last one for ever."""
    for number, each in enumerate(pages, 1):
        answer = {"success": True, "errors": [], "messages": [], "result": each}
        times = 1 if number < len(pages) else None
        options = {"status": 200, "content_type": "application/json", "body": json.dumps(answer)}
        world.fault("raw", operation="list", nth=number, times=times, **options)


def ids_of(start, end):
    return [f"n-{n:05}" for n in range(start, end)]


def test_a_truncated_page_without_a_cursor_is_no_list(world, observer, target):
    world.seed(many(30))
    world.fault("result", operation="list", times=None, result=page(["n-00001"], 5, None))
    reading = observer.read(target, many(100), live_count=10)
    assert (reading.how, reading.present) == ("get_by_ids", many(30))
    assert "no usable cursor" in reading.note


@pytest.mark.parametrize("cursors", [["a", "a"], ["a", "b", "a"]])
def test_a_cursor_that_comes_twice_is_no_list_and_not_one_without_end(world, observer, target, cursors):
    serve(world, *(page(["x"], 4000, cursor) for cursor in [*cursors, "a"]))
    world.seed(many(30))
    reading = observer.read(target, many(1000), live_count=4000)
    assert (reading.how, reading.present) == ("get_by_ids", many(30))
    assert len(world.requests("list")) < 12


def test_a_list_that_ends_before_its_own_count_is_no_complete_list(world, observer, target):
    world.seed(many(30))
    world.fault("result", operation="list", times=None, result=page(["n-00001"], 330, None, truncated=False))
    reading = observer.read(target, many(30), live_count=330)
    assert (reading.how, reading.present) == ("get_by_ids", many(30))
    assert "named 1 vectors of the 330 that it counts" in reading.note


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        # A later page that counts fewer would make the end of the list come too soon.
        (
            [page(ids_of(0, 1000), 2000, "a"), page(ids_of(1000, 1500), 1500, None, truncated=False)],
            "and then 1,500",
        ),
        (
            [page(ids_of(0, 1000), 1500, "a"), page(ids_of(1000, 2000), 2000, None, truncated=False)],
            "and then 2,000",
        ),
        ([page(ids_of(0, 1000), 1001, "a"), page(ids_of(1000, 1002), 1001, None, truncated=False)], "named 1,002"),
        # An id that is named twice stands where another is missing.
        ([page([*ids_of(0, 999), "n-00000"], 1000, None, truncated=False)], "twice"),
        (
            [page(ids_of(0, 1000), 2000, "a"), page(ids_of(1, 1001), 2000, None, truncated=False)],
            "named a vector twice",
        ),
    ],
)
def test_a_list_that_contradicts_itself_is_no_complete_list(world, observer, target, pages, why):
    world.seed(many(3000))
    serve(world, *pages)
    reading = observer.read(target, many(2000), live_count=2000)
    assert (reading.how, reading.present) == ("get_by_ids", many(2000))
    assert why in reading.note


def test_a_list_that_fails_is_a_passing_fault_and_no_reason_to_ask_by_name(world, observer, target):
    world.fault("error", operation="list", status=500, times=None)
    with pytest.raises(ServiceFault) as failed:
        observer.read(target, many(100), live_count=10)
    assert failed.value.passing
    assert world.requests("get_by_ids") == []


def test_every_attempt_that_is_made_again_is_told(world, observer, target):
    told = []
    observer.attend(lambda: None, told.append)
    world.fault("error", operation="get_by_ids", status=503, times=2)
    observer.read(target, many(1))
    assert [(each.type, each.target, each.attempt, each.status) for each in told] == [
        ("read_failed", target, 1, 503),
        ("read_failed", target, 2, 503),
    ]
    assert told[0].retry_in > 0


def test_a_long_proof_comes_in_slices_each_with_created_on_before_and_after(world, observer, target):
    world.seed(many(10))
    readings = list(observer.prove(target, many(4500), pin=None, live_count=10**9))
    assert [len(each.asked) for each in readings] == [2000, 2000, 500]
    assert [len(each.present) for each in readings] == [10, 0, 0]
    around = ["index_get", *["get_by_ids"] * 100]
    assert operations(world) == [*around, *around, "index_get", *["get_by_ids"] * 25, "index_get"]


def test_what_a_slice_proved_stands_when_the_index_is_re_created_later(world, observer, target):
    proof = observer.prove(target, many(4000), pin=None, live_count=10**9)
    assert next(proof).asked == many(2000)
    world.emulator.delete_index(world.account, "docs")
    world.clock.advance(1)
    world.emulator.create_index(world.account, "docs")
    with pytest.raises(IndexRecreated):
        next(proof)


def test_a_read_that_fails_for_good_leaves_the_dispatcher_usable(world, observer, target):
    world.fault("error", operation="get_by_ids", status=400, code=40008, nth=3)
    with pytest.raises(RequestRejected):
        observer.read(target, many(2000), live_count=10**9)
    assert observer.read(target, many(2), live_count=10**9).present == IdSet()
    assert observer.created_on(target)


def test_of_many_indexes_each_has_its_answer_and_an_error_is_one(world, observer):
    targets = [Target(LOOPBACK, world.account, f"i-{number}") for number in range(30)]
    for target in targets:
        if target.index != "i-3":
            world.seed(["x"], target.index)
    world.fault("error", operation="index_get", index="i-7", status=400, times=None)
    world.fault("error", operation="index_get", index="i-9", status=500)
    found = dict(observer.created_on_each(targets))
    assert set(found) == set(targets)
    failed = {target.index: type(answer) for target, answer in found.items() if not isinstance(answer, str)}
    assert failed == {"i-3": IndexNotFound, "i-7": RequestRejected}
    assert found[targets[9]] == observer.created_on(targets[9]), "what may pass was tried again"
    assert observer.created_on(targets[0]) == found[targets[0]]


def test_who_leaves_before_the_end_hands_nobody_elses_answer_to_the_next(world, observer):
    here, missing = Target(LOOPBACK, world.account, "here"), Target(LOOPBACK, world.account, "missing")
    world.seed(["x"], "here")
    created_on = observer.created_on(here)
    for found in observer.created_on_each([here, missing, missing, here]):
        assert found == (here, created_on)
        break
    assert observer.created_on(here) == created_on
    with pytest.raises(IndexNotFound):
        observer.created_on(missing)


def test_a_stop_in_the_middle_of_a_read_is_an_interrupt_and_proves_nothing(world, target):
    context = world.context()
    budget = context.budget(Projection())
    with context.client(budget) as client, context.dispatcher(budget) as dispatcher:
        observer = Observer(client, dispatcher, world.clock)
        world.bridge.before.append(lambda _: dispatcher.stop())
        with pytest.raises(Interrupted):
            observer.read(target, many(2000), live_count=10**9)
        with pytest.raises(Interrupted):
            observer.created_on(target)


def test_a_read_that_waits_for_the_budget_lets_its_owner_renew_the_lease(world, target):
    world.configure(api={"requests_per_five_minutes": 1})
    beats = []
    context = world.context()
    budget = context.budget(Projection())
    with context.client(budget) as client, context.dispatcher(budget) as dispatcher:
        observer = Observer(client, dispatcher, world.clock, tick=lambda: beats.append(world.clock.elapsed()))
        observer.created_on(target)
        observer.created_on(target)
    gaps = [later - earlier for earlier, later in itertools.pairwise(beats)]
    assert beats[-1] - beats[0] > 290
    assert max(gaps) <= 10


@pytest.mark.fault(23)
def test_a_proof_wants_the_pinned_index_before_and_after(world, observer, target):
    pin = observer.created_on(target)
    (reading,) = observer.prove(target, many(3), pin=pin)
    assert reading.present == IdSet()
    with pytest.raises(IndexRecreated):
        list(observer.prove(target, many(3), pin="2020-01-01T00:00:00Z"))

    def strike(request):
        if request.url.path.endswith("/get_by_ids"):
            world.emulator.delete_index(world.account, "docs")
            world.clock.advance(1)
            world.emulator.create_index(world.account, "docs")

    world.bridge.before.append(strike)
    with pytest.raises(IndexRecreated):
        list(observer.prove(target, many(3), pin=pin))


@pytest.mark.fault(23)
def test_an_index_that_vanishes_during_a_proof_is_an_error_not_absence(world, observer, target):
    pin = observer.created_on(target)
    world.emulator.delete_index(world.account, "docs")
    with pytest.raises(IndexNotFound):
        list(observer.prove(target, many(3), pin=pin))


def test_a_look_at_a_missing_index_is_a_value_and_at_one_re_created_meanwhile_an_error(world, observer, target):
    world.declare(["doc-001"])
    world.declare(["doc-001"], "gone", name="b.yaml")
    desired = load(world.context())
    seen = observer.observe(desired, Projection())
    assert [each.presence for each in seen.targets.values()] == [Presence.FOUND, Presence.MISSING]

    def strike(request):
        if request.url.path.endswith("/docs/get_by_ids"):
            world.emulator.delete_index(world.account, "docs")
            world.clock.advance(1)
            world.emulator.create_index(world.account, "docs")

    world.bridge.before.append(strike)
    with pytest.raises(IndexRecreated):
        observer.observe(desired, Projection())


def test_a_look_counts_its_requests(world, observer):
    world.declare(["doc-001"])
    seen = observer.observe(load(world.context()), Projection())
    assert sum(each.requests for each in seen.targets.values()) == len(world.requests())


def test_an_incomplete_list_resolves_no_prefix(world, observer):
    world.manifest({"index": "docs", "reason": "r", "prefixes": ["doc-"]})
    world.fault("result", operation="list", times=None, result=page(["doc-001"], 300, None, truncated=False))
    with pytest.raises(ServiceFault, match="prefixes cannot be resolved"):
        observer.observe(load(world.context()), Projection())

"""After any run, whatever went wrong in it, running again converges. Nothing undeclared is ever sent."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import ExitCode, ReconcilerError, StateError
from reconciler.model.tombstones import Status
from reconciler.state import events as ev
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.interface import Unknown

INDEXES = ("docs", "more")
POOL = [f"id-{n:02}" for n in range(24)]
KEPT = ["id-05", "id-17"]

relaxed = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

faults = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            ["drop_before", "drop_after", "cut_body", "null_mutation", "truncate", "error", "delay_after", "raw"]
        ),
        "operation": st.sampled_from(["delete_by_ids"] * 4 + ["info", "get_by_ids", "list", None]),
        "nth": st.integers(1, 4),
        "times": st.integers(1, 7),
        "status": st.sampled_from([500, 429, 400, 403, 502]),
        "seconds": st.just(61),
    }
)

runs = st.fixed_dictionaries(
    {
        "ids": st.fixed_dictionaries({i: st.sets(st.sampled_from(POOL), max_size=16) for i in INDEXES}),
        "faults": st.lists(faults, max_size=3),
        "interrupt": st.one_of(st.none(), st.integers(1, 12)),
        "store": st.one_of(st.none(), st.none(), st.integers(2, 8)),
        "refresh": st.booleans(),
        "wait": st.booleans(),
        "back": st.sets(st.sampled_from(POOL), max_size=4),
        "command": st.sampled_from(["apply", "apply", "apply", "verify", "audit"]),
    }
)


def carry_out(world, run):
    """One command under one set of faults; whatever it raises."""
    for index, ids in run["ids"].items():
        world.declare(sorted(ids - set(KEPT)) or ["never-there"], index, name=f"{index}.yaml")
    for fault in run["faults"]:
        world.fault(**fault)
    arrived = []

    def hook(request):
        arrived.append(request)
        if len(arrived) == run["interrupt"]:
            world.interrupts.request()

    world.bridge.before.append(hook)
    real, appends = FileStore.append, []

    def append(store, line, position):
        appends.append(position)
        if run["store"] is not None and len(appends) >= run["store"]:
            return Unknown(StateError("the disk is gone"), retry=False)
        return real(store, line, position)

    FileStore.append = append
    try:
        if run["command"] == "apply":
            world.apply(refresh=run["refresh"], wait=run["wait"], timeout=200)
        else:
            world.verify(audit=run["command"] == "audit", timeout=200)
    except ReconcilerError:
        pass
    finally:
        FileStore.append = real
        world.bridge.before.remove(hook)
        world.emulator.faults.clear()


@relaxed
@given(st.lists(runs, min_size=1, max_size=4), st.sampled_from([0.0, 7.0, 45.0]), st.integers(1, 5))
def test_running_again_converges_and_only_what_was_intended_and_declared_was_ever_sent(
    make_world, story, lag, concurrency
):
    world = make_world(lag=lag)
    world.configure(api={"batch_size": 3, "concurrency": concurrency})
    for index in INDEXES:
        world.seed(POOL, index)
    declared = {index: set() for index in INDEXES}
    world.check_intent_first()
    for run in story:
        for index, ids in run["ids"].items():
            declared[index] |= (ids - set(KEPT)) or {"never-there"}
        carry_out(world, run)
        for index in INDEXES:
            world.seed(run["back"], index)
    last = {index: ids - set(KEPT) for index, ids in story[-1]["ids"].items()}
    for _ in range(4):  # found again, deleted again: what came back behind our back takes an audit and an apply
        world.apply()
        code = world.verify(audit=True).exit_code
        if code is ExitCode.DONE and world.actions() == {}:
            break
    assert world.actions() == {}
    assert world.apply().exit_code is ExitCode.DONE
    for index in INDEXES:
        assert not last[index] & set(world.live(index))
        assert set(KEPT) <= set(world.live(index))
        assert not set(world.ids(Status.VERIFIED, index=index)) & set(world.live(index))
        sent = {each for entry in world.deletes(index) for each in entry.ids}
        assert sent <= declared[index]
    check_log(world)


def check_log(world):
    """Every accepted delete has an intent that names its ids, and no outcome is claimed that was not given."""
    intents = {event.batch: tuple(event.ids) for event in world.events(ev.Intent)}
    accepted = {entry.mutation_id: entry.ids for entry in world.deletes() if entry.accepted}
    assert set(accepted.values()) <= set(intents.values())
    for event in world.events(ev.Accepted):
        assert accepted[event.mutation_id] == intents[event.batch]


@relaxed
@given(
    st.lists(st.sets(st.integers(0, 60), min_size=1), min_size=1, max_size=5),
    st.integers(1, 12),
    st.integers(1, 6),
)
def test_any_split_over_declarations_costs_full_batches_and_sends_every_id_once(
    make_world, parts, size, concurrency
):
    world = make_world()
    world.configure(api={"batch_size": size, "concurrency": concurrency})
    named = [[f"id-{n:02}" for n in sorted(part)] for part in parts]
    world.manifest(*({"index": "docs", "reason": f"r{n}", "ids": ids} for n, ids in enumerate(named)))
    union = sorted({each for ids in named for each in ids})
    world.seed([*union, "another"])
    result = world.apply()
    sent = [each for entry in world.deletes() for each in entry.ids]
    assert len(world.deletes()) == ceil(len(union) / size) == result.batches
    assert sorted(sent) == union
    assert result.exit_code is ExitCode.DONE
    intents = world.events(ev.Intent)
    last_outcome = [n for n, e in enumerate(world.events()) if isinstance(e, ev.Accepted)]
    closing = world.events().index(intents[-1])
    assert sum(place > closing for place in last_outcome) == 1, "the closing batch was not alone"
    reasons = {d.number: d.reason for d in world.state.declarations.values()}
    for numbers, ids in world.record().by_declaration:
        for id_ in ids:
            assert {reasons[n] for n in numbers} == {f"r{n}" for n, each in enumerate(named) if id_ in each}


@pytest.mark.parametrize("count", [1, 99, 100, 101, 199, 200, 201])
def test_batches_are_full_at_their_boundaries(world, count):
    many = [f"x-{n:03}" for n in range(count)]
    world.declare(many)
    assert world.apply().exit_code is ExitCode.DONE
    assert sorted(len(e.ids) for e in world.deletes())[1:] == [100] * (ceil(count / 100) - 1)

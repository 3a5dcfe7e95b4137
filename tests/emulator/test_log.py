"""The write-ahead log: lag, jobs, the pointer."""

import uuid

import pytest

from reconciler.emulator import Limits


def test_a_delete_is_accepted_long_before_it_is_applied(make):
    api = make(lag=30)
    api.seed(["a", "b"])
    mutation = api.delete(["a"])
    assert uuid.UUID(mutation).version == 4
    api.clock.advance(29.9)
    assert api.get(["a"]) == ["a"]
    assert api.info()["processedUpToMutation"] is None
    assert api.info()["processedUpToDatetime"] is None
    api.clock.advance(0.1)
    assert api.get(["a"]) == []
    info = api.info()
    assert info["processedUpToMutation"] == mutation
    assert info["processedUpToDatetime"] == "2026-09-21T14:13:50.000000Z"
    assert info["vectorCount"] == 1


def test_mutations_apply_in_the_order_of_acceptance(make, make_vector):
    api = make(lag=5)
    api.create()
    api.write([make_vector("a")])
    api.delete(["a"])
    api.write([make_vector("b")], "insert")
    api.delete(["absent"])
    last = api.write([make_vector("c")])
    api.clock.advance(5)
    assert api.live() == ["b", "c"]
    assert api.info()["processedUpToMutation"] == last


def test_a_job_takes_at_most_1000_requests_and_the_pointer_stops_at_its_last(make):
    api = make(lag=1, job_seconds=10, limits=Limits(job_requests=3), budget=None, burst=None)
    api.seed(["a"])
    sent = [api.delete([f"id-{number}"]) for number in range(7)]
    api.clock.advance(1)
    assert api.info()["processedUpToMutation"] == sent[2]
    api.clock.advance(9.9)
    assert api.info()["processedUpToMutation"] == sent[2]
    api.clock.advance(0.1)
    assert api.info()["processedUpToMutation"] == sent[5]
    api.clock.advance(100)
    assert [each.job for each in api.emulator.mutations(api.account, "docs")] == [1, 1, 1, 2, 2, 2, 3]


def test_a_job_takes_at_most_200000_vectors_but_always_one_mutation(make, make_vector):
    api = make(lag=1, job_seconds=10, limits=Limits(job_vectors=3))
    api.create()
    for size in (2, 1, 1, 5, 1):
        api.write([make_vector(f"{size}-{number}") for number in range(size)])
    api.clock.advance(1_000)
    assert [each.job for each in api.emulator.mutations(api.account, "docs")] == [1, 1, 2, 3, 4]


def test_the_defaults_of_a_job_are_the_documented_ones():
    assert (Limits().job_requests, Limits().job_vectors) == (1_000, 200_000)


def test_time_that_nobody_watched_gives_the_same_jobs(make):
    watched, unwatched = make(lag=2, job_seconds=3), make(lag=2, job_seconds=3)
    start = watched.clock.now
    for api in (watched, unwatched):
        api.clock.now = start
        api.seed(["a"])
        for _ in range(4):
            api.delete(["a"])
            api.clock.advance(1)
            if api is watched:
                api.info()
        api.clock.advance(20)
    times = [
        [(each.processed_at, each.job) for each in api.emulator.mutations(api.account, "docs")]
        for api in (watched, unwatched)
    ]
    assert times[0] == times[1]
    assert times[0][0] == (start + 2, 1)


def test_a_held_log_processes_nothing_until_it_is_released(make):
    api = make(lag=1)
    api.seed(["a"])
    api.seed(["b"], "other")
    api.emulator.hold(api.account, "docs")
    held, free = api.delete(["a"]), api.delete(["b"], "other")
    api.clock.advance(3_600)
    assert api.live() == ["a"]
    assert api.emulator.held
    assert api.info("other")["processedUpToMutation"] == free
    api.emulator.release(api.account, "docs")
    assert api.live() == []
    assert api.info()["processedUpToMutation"] == held
    # Processed at the release, not back when it would have been due.
    assert api.emulator.mutations(api.account, "docs")[0].processed_at == api.clock.now


def test_releasing_one_index_does_not_shift_the_time_of_another(make):
    api = make(lag=1)
    api.seed(["a"])
    api.seed(["b"], "other")
    api.emulator.hold(api.account, "docs")
    api.delete(["b"], "other")
    due = api.clock.now + 1
    api.clock.advance(50)
    api.emulator.release(api.account, "docs")
    assert api.emulator.mutations(api.account, "other")[0].processed_at == due


def test_holding_everything_holds_indexes_created_later(make):
    api = make()
    api.emulator.hold()
    api.seed(["a"])
    api.delete(["a"])
    assert api.live() == ["a"]
    api.emulator.release()
    assert api.live() == []


def test_processing_by_hand_stops_where_told(make):
    api = make(lag=600)
    api.seed(["a", "b", "c"])
    sent = [api.delete([each]) for each in "abc"]
    assert api.emulator.process(api.account, "docs", count=2) == 2
    assert api.info()["processedUpToMutation"] == sent[1]
    assert api.live() == ["c"]
    assert api.emulator.process() == 1


def test_a_foreign_mutation_hides_ours_behind_the_pointer(make):
    api = make(lag=600)
    api.seed(["a"])
    ours = api.delete(["a"])
    foreign = api.emulator.foreign_mutation(api.account, "docs")
    assert api.info()["processedUpToMutation"] == foreign != ours
    assert api.live() == []  # everything before the pointer is reflected


def test_an_earlier_foreign_mutation_moves_the_pointer_and_proves_nothing_of_ours(make):
    api = make(lag=600)
    api.seed(["a"])
    api.delete(["a"])
    foreign = api.emulator.foreign_mutation(api.account, "docs", process=False)
    assert api.info()["processedUpToMutation"] == foreign
    assert api.live() == ["a"]
    api.clock.advance(600)
    assert api.live() == []


def test_the_vector_count_trails_the_pointer(make):
    api = make(count_lag=10)
    api.seed(["a", "b"])
    api.clock.advance(10)
    assert api.info()["vectorCount"] == 2
    mutation = api.delete(["a"])
    info = api.info()
    assert (info["processedUpToMutation"], info["vectorCount"]) == (mutation, 2)
    api.clock.advance(10)
    assert api.info()["vectorCount"] == 1


def test_the_lag_can_change_while_it_runs(api):
    api.seed(["a", "b"])
    api.emulator.set_lag(50)
    api.delete(["a"])
    assert api.live() == ["a", "b"]
    api.clock.advance(50)
    assert api.live() == ["b"]


def test_unknown_indexes_are_errors_of_the_controls(api):
    for action in (
        api.emulator.ids,
        api.emulator.mutations,
        api.emulator.foreign_mutation,
        api.emulator.delete_index,
    ):
        with pytest.raises(KeyError):
            action(api.account, "nothing")
    for control in (api.emulator.hold, api.emulator.release, api.emulator.process):
        with pytest.raises(KeyError):
            control(api.account, "nothing")
        with pytest.raises(KeyError):
            control(index="nothing")
    with pytest.raises(KeyError):
        api.emulator.remove(api.account, "nothing", ["a"])

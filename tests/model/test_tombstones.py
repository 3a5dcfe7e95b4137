from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.model.tombstones import BatchRecord, Projection, RunRecord, Status, TargetRecord, place

TARGET = Target("https://api.example", "a" * 32, "articles")
RUN = RunRecord("r1", "apply", "me", "host", "boot", 1, "", "sha256:0", 2, "t", 300.0, "t", 2)


def test_a_closed_target_is_history():
    old = TargetRecord(1, TARGET, "2026-01-01", closed=True)
    assert Projection(targets={1: old}).live(TARGET) is None
    new = TargetRecord(2, TARGET, "2026-02-02")
    assert Projection(targets={1: old, 2: new}).live(TARGET) is new
    assert Projection().live(TARGET) is None


def test_the_state_is_held_by_its_last_run_while_that_is_open():
    assert Projection().open_run is None
    assert Projection(runs=(RUN,)).open_run is RUN
    assert Projection(runs=(replace(RUN, outcome="done"),)).open_run is None
    assert Projection(runs=(RUN, replace(RUN, run="r2", outcome="fenced"))).open_run is None


def test_ids_of_several_statuses_and_of_a_batch():
    record = TargetRecord(1, TARGET, by_status={Status.VERIFIED: IdSet.of("ab"), Status.ACCEPTED: IdSet.of("c")})
    assert set(record.ids(Status.VERIFIED, Status.ACCEPTED, Status.RELEASED)) == {"a", "b", "c"}
    assert not record.ids(Status.REAPPEARED)
    batch = BatchRecord(1, 1, "r1", (((1,), IdSet.of("ab")), ((1, 2), IdSet.of("c"))), 0, "t")
    assert batch.ids == IdSet.of("abc")


@given(
    st.tuples(st.integers(0, 10**6), st.integers(0, 999_999)),
    st.tuples(st.integers(0, 10**6), st.integers(0, 999_999)),
)
def test_places_grow_along_the_log(one, other):
    assert (place(*one) < place(*other)) == (one < other)

"""Ids by the sets that hold them, in each of the ways in which they are told, against Python's own sets."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model import chunks, kept, partition
from reconciler.model.idset import IdSet
from support.chunking import cut_otherwise

few = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
letters = st.sets(st.sampled_from("abcdefghxy"))

#: _PAIR, _WAITING, _FEW: few parts are gone through chunk by chunk; many that share nothing are groups as they are,
#: unless they hold much else; all others are told apart id by id.
WAYS = {
    "chunk by chunk": (0, 0, 0),
    "apart": (1_000_000, 0, 1_000_000),
    "apart, or id by id": (1_000_000, 0, 1),
    "id by id": (1_000_000, 0, -1),
    "id by id, many at once": (1_000_000, 65_536, -1),
}


@pytest.fixture(autouse=True, params=["as it is", "in many chunks", "in the scratch file"])
def chunks_are(request, monkeypatch):
    if request.param != "as it is":
        monkeypatch.setattr(chunks, "CHUNK_BYTES", 8)
    if request.param == "in the scratch file":
        monkeypatch.setattr(kept, "SCRATCH_ABOVE", -(1 << 40))


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    for name, value in zip(("_PAIR", "_WAITING", "_FEW"), WAYS[request.param], strict=True):
        monkeypatch.setattr(partition, name, value)
    return request.param


def groups_of(ids, parts):
    """What a partition is, in sets of str."""
    expected: dict[tuple[int, ...], set[str]] = {}
    for each in ids:
        numbers = tuple(number for number, part in enumerate(parts) if each in part)
        expected.setdefault(numbers, set()).add(each)
    return sorted(expected.items())


def told(ids, parts):
    groups = partition.partition(ids, parts)
    for _, held in groups:
        assert list(held) == sorted(set(held))
    return [(numbers, set(held)) for numbers, held in groups]


@given(letters, st.lists(letters, max_size=5))
@few
def test_every_id_is_in_the_one_group_of_the_parts_that_hold_it(way, ids, parts):
    assert told(IdSet.of(ids), [IdSet.of(part) for part in parts]) == groups_of(ids, parts)


@given(letters, st.lists(st.sampled_from([None, 0, 1, 2, 3]), min_size=10, max_size=10), st.booleans())
@few
def test_parts_that_share_nothing_are_groups_as_far_as_they_are_asked_for(way, ids, tickets, whole):
    parts = [{id_ for id_, ticket in zip("abcdefghxy", tickets, strict=True) if ticket == n} for n in range(4)]
    parts += [ids] if whole else []
    asked = IdSet.of(ids)
    sets = [IdSet.of(part) for part in parts[:4]] + ([asked] if whole else [])
    assert told(asked, sets) == groups_of(ids, parts)


@given(letters, st.lists(st.tuples(letters, st.sampled_from(["other", "same", "cut", "known"])), max_size=4))
@few
def test_equal_parts_are_known_by_their_digest(way, ids, others):
    whole = IdSet.of(ids)
    whole.digest()
    made = {
        "other": lambda each: (each, IdSet.of(each)),
        "same": lambda _: (ids, whole),
        "cut": lambda _: (ids, cut_otherwise(whole, 2, known=False)),
        "known": lambda _: (ids, cut_otherwise(whole, 3, known=True)),
    }
    plain, parts = zip(*[made[how](each) for each, how in others], strict=True) if others else ((), ())
    assert told(whole, parts) == groups_of(ids, plain)


@pytest.mark.parametrize(
    ("foreign", "shared", "apart"), [(0, 0, True), (2, 0, True), (3, 0, False), (0, 1, False)]
)
def test_only_what_shares_something_or_holds_much_else_is_told_apart_id_by_id(monkeypatch, foreign, shared, apart):
    monkeypatch.setattr(partition, "_FEW", 2)
    ids = [f"{number:03}" for number in range(100)]
    parts = [ids[start::10] for start in range(10)]
    parts[3] = [*parts[3], *(f"x{number}" for number in range(foreign)), *parts[4][:shared]]
    with (
        patch.object(partition, "_PAIR", 1_000),
        patch.object(partition, "borne", wraps=partition.borne) as one_by_one,
    ):
        assert told(IdSet.of(ids), [IdSet.of(part) for part in parts]) == groups_of(ids, parts)
    assert one_by_one.called is not apart

"""Who named an id last, and which ids were named twice: against a dict that is brought up to date in order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model import chunks, layers
from reconciler.model.batches import BatchRecord, own_ids
from reconciler.model.chunks import block_of, in_order
from reconciler.model.idset import IdSet
from reconciler.model.layers import last_named, named_twice
from reconciler.model.status import REJECTED, Status

few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ids = st.integers(0, 60).map(lambda n: f"id-{n:02}") | st.text(
    st.sampled_from(["a", "b", "\x00", "\n", "\xff", "é", "😀"]), min_size=1, max_size=3
)
block = st.sets(ids, min_size=1, max_size=8)


@st.composite
def stretches(draw):
    """Blocks under keys: some in any order, some stretches that ascend, as batches cut from sorted ids do."""
    found = []
    for _ in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            found += draw(st.lists(block, max_size=4))
        else:
            ordered, size = sorted(draw(st.sets(ids, max_size=40))), draw(st.integers(1, 6))
            found += [set(ordered[start : start + size]) for start in range(0, len(ordered), size)]
    return [(draw(st.sampled_from("pqr")), each) for each in found]


@pytest.fixture(autouse=True, params=[0, 20, 100, 1_000_000])
def layer_bytes(request, monkeypatch):
    monkeypatch.setattr(layers, "LAYER_BYTES", request.param)
    if request.param < 1_000:
        monkeypatch.setattr(chunks, "CHUNK_BYTES", 12)


@given(stretches())
@few
def test_every_id_belongs_to_the_key_that_named_it_last(blocks):
    expected: dict[str, str] = {}
    for key, each in blocks:
        expected.update(dict.fromkeys(each, key))
    found = last_named((key, block_of(in_order(list(each)))) for key, each in blocks)
    assert {id_: key for key, held in found.items() for id_ in held} == expected
    assert sum(map(len, found.values())) == len(expected)
    assert all(list(held) == sorted(held) for held in found.values())


@given(stretches())
@few
def test_ids_named_twice_are_those_in_more_than_one_block(blocks):
    counted = Counter(id_ for _, each in blocks for id_ in each)
    found = named_twice(block_of(in_order(list(each))) for _, each in blocks)
    assert list(found) == sorted(id_ for id_, count in counted.items() if count > 1)


@given(stretches(), st.lists(st.booleans(), max_size=60))
@few
def test_every_batch_owns_what_no_later_one_names_but_for_rejected_ones(blocks, rejected):
    batches, expected = [], {}
    for number, (_, each) in enumerate(blocks, 1):
        gone = number <= len(rejected) and rejected[number - 1]
        cut = sorted(each)[: number % 3], sorted(each)[number % 3 :]
        declared = tuple(((place + 1,), IdSet.of(part)) for place, part in enumerate(cut) if part)
        status = REJECTED if gone else Status.ACCEPTED
        batches.append(BatchRecord(number, 1, "r", declared, number, "at", status=status))
        if not gone:
            expected.update(dict.fromkeys(each, number))
    found = [(batch.number, own) for _, batch, own in own_ids(batches)]
    assert all(batches[row] == batch for row, batch, _ in own_ids(batches))
    assert {id_: number for number, own in found for id_ in own} == expected
    assert sum(len(own) for _, own in found) == len(expected)
    numbers = [number for number, _ in found]
    assert numbers == sorted((b.number for b in batches if b.status != REJECTED), reverse=True)

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import layers
from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.model.tombstones import REJECTED, BatchRecord, Status, TargetRecord
from reconciler.state.naming import Own

LETTERS = st.sets(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=6)
BATCHES = st.lists(st.tuples(LETTERS, st.sampled_from([Status.ACCEPTED, Status.VERIFIED, REJECTED])), max_size=12)


def record_of(batches):
    made = tuple(
        BatchRecord(
            number=number,
            target=1,
            run="r",
            declared=(((1,), IdSet.of(ids)),),
            intent=number,
            submitted_at="2026-11-22T12:00:00.000Z",
            settled_at="2026-11-22T12:00:00.000Z",
            status=status,
        )
        for number, (ids, status) in enumerate(batches, 1)
    )
    return TargetRecord(1, Target("loopback", "account", "index"), None, batches=made)


def owned(batches):
    """The definition: an id belongs to the last batch that names it and was not rejected."""
    last = {each: number for number, (ids, status) in enumerate(batches, 1) if status != REJECTED for each in ids}
    found = {}
    for each, number in last.items():
        found.setdefault(number, set()).add(each)
    return found


@pytest.mark.parametrize("layer", [1, 3, 100_000])
@given(BATCHES, st.sets(st.sampled_from("abcdefghijklmnopq")))
def test_a_batch_is_named_when_all_the_ids_that_no_later_one_names_are_meant(layer, batches, meant):
    expected = owned(batches)
    with patch.object(layers, "LAYER_BYTES", layer):
        own = Own(record_of(batches))
        assert [(number, set(ids)) for number, ids in own] == sorted(expected.items(), reverse=True)
        numbers, covered = own.whole(IdSet.of(meant))
    assert sorted(numbers) == sorted(number for number, ids in expected.items() if ids <= meant)
    assert set(covered) == {each for number in numbers for each in expected[number]}

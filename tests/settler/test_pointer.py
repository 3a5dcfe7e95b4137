"""Which batches a pointer proves processed, against the definition written out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.idset import IdSet
from reconciler.model.tombstones import REJECTED, BatchRecord, Status
from reconciler.settler import processed_by
from reconciler.state.naming import ranges


def batch(number, intent, accepted, status=Status.ACCEPTED):
    ids = IdSet.of([f"id-{number}"])
    mutation = None if accepted is None else f"m-{number}"
    return BatchRecord(
        number, 1, "run", (((1,), ids),), intent, "", accepted=accepted, mutation_id=mutation, status=status
    )


@st.composite
def logs(draw):
    """Batches whose intents and acceptances interleave at random; some were never answered, or refused."""
    count = draw(st.integers(1, 8))
    places = draw(st.permutations(range(1, 2 * count + 1)))
    batches = []
    for number in range(count):
        first, second = sorted(places[2 * number : 2 * number + 2])
        kind = draw(
            st.sampled_from([Status.ACCEPTED, Status.ACCEPTED, Status.PROCESSED, Status.UNRESOLVED, REJECTED])
        )
        accepted = second if kind in (Status.ACCEPTED, Status.PROCESSED) else None
        batches.append((first, accepted, kind))
    batches.sort()
    return [batch(n + 1, first, accepted, kind) for n, (first, accepted, kind) in enumerate(batches)]


@pytest.mark.fault(23)
@settings(max_examples=300, deadline=None)
@given(logs(), st.integers(0, 9))
def test_processed_is_what_equals_the_pointer_or_was_accepted_before_its_intent(batches, named):
    pointer = f"m-{named}"
    expected = []
    for one in batches:
        if one.status != Status.ACCEPTED:
            continue
        equal = one.mutation_id == pointer
        later = any(b.mutation_id == pointer and b.intent > one.accepted for b in batches)
        if equal or later:
            expected.append(one.number)
    assert [each.number for each in processed_by(pointer, batches)] == expected


@pytest.mark.fault(23)
def test_no_pointer_proves_nothing():
    assert tuple(processed_by(None, [batch(1, 1, 2)])) == ()
    assert tuple(processed_by("", [batch(1, 1, 2)])) == ()


@pytest.mark.fault(23)
def test_a_pointer_of_somebody_else_proves_nothing():
    assert tuple(processed_by("foreign", [batch(1, 1, 2), batch(2, 3, 4)])) == ()


@pytest.mark.fault(23)
def test_requests_that_overlapped_prove_nothing_of_each_other():
    one, other = batch(1, 1, 4), batch(2, 2, 3)
    assert tuple(processed_by("m-2", [one, other])) == (other,)
    assert tuple(processed_by("m-1", [one, other])) == (one,)


@pytest.mark.fault(23)
@given(st.sets(st.integers(1, 60)))
def test_ranges_name_exactly_the_numbers(numbers):
    found = ranges(list(numbers))
    assert sorted(n for first, last in found for n in range(first, last + 1)) == sorted(numbers)
    assert all(following[0] > last + 1 for (_, last), following in itertools.pairwise(found))

"""Which numbers each id bears: against a dict of lists."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model import chunks, kept
from reconciler.model.chunks import block_of
from reconciler.model.labels import borne

# Some begin with others, and with characters that sort below every other.
ids = st.text(st.sampled_from(["a", "b", "\x00", "\n", "\x7f", "\xff", "\U0001f600"]), min_size=1, max_size=4)
blocks = st.lists(st.sets(ids, min_size=1, max_size=8), max_size=12)


@pytest.fixture(autouse=True, params=[12, 131_072])
def chunk_bytes(request, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", request.param)
    if request.param < 1_000:
        monkeypatch.setattr(kept, "SCRATCH_ABOVE", 0)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(blocks, max_size=3), st.integers(0, 2**32 - 40))
def test_every_id_bears_the_numbers_of_its_blocks(streams, least):
    expected: dict[str, list[int]] = {}
    numbered, number = [], least
    for stream in streams:
        numbered.append([])
        for block in stream:
            numbered[-1].append((number, block_of(list(block))))
            for id_ in block:
                expected.setdefault(id_, []).append(number)
            number += 1
    found = [(raw.decode(), numbers) for numbers, some in borne(*numbered) for raw in some]
    assert dict(found) == {id_: tuple(numbers) for id_, numbers in expected.items()}
    assert len(found) == len(expected)


def test_an_id_that_thousands_of_blocks_name_comes_once_with_all_its_numbers():
    blocks = [(number, b"b") for number in range(5_000)]
    found = list(borne([(0, b"a")], blocks, [(7, b"b\xffc")]))
    assert [(numbers, ids) for numbers, ids in found if ids != [b"b"]] == [((0,), [b"a"]), ((7,), [b"c"])]
    assert [numbers for numbers, ids in found if ids == [b"b"]] == [tuple(range(5_000))]

"""Blocks, pages, and sets that are known to be equal, against bytes and sets of Python's own."""

from __future__ import annotations

from itertools import chain
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model import building, chunks, kept, merging, pages
from reconciler.model.batches import Batches, Columns
from reconciler.model.chunks import block_of, in_order
from reconciler.model.idset import IdSet, IdSetBuilder
from reconciler.model.kept import Kept
from reconciler.model.pages import Pages
from reconciler.model.status import Status
from reconciler.state.batchtable import BatchTable
from support.chunking import cut_otherwise

one_id = st.text(st.sampled_from(["a", "b", "\x00", "\n", "\xff", "é", "\uffff", "😀"]), min_size=1, max_size=4)
id_sets = st.sets(one_id, max_size=30)
few = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True, params=["as it is", "in many chunks", "in the scratch file"])
def chunks_are(request, monkeypatch):
    if request.param == "as it is":
        return
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 8)
    monkeypatch.setattr(pages, "PAGE_BYTES", 8)
    for name, value in {"_RUN_IDS": 4, "_RANGES": 3, "_PAGE_BYTES": 12, "LARGE": 40, "_SAMPLED": 2}.items():
        monkeypatch.setattr(building, name, value)
    monkeypatch.setattr(merging, "LOOK_UP", 3)
    if request.param == "in the scratch file":
        monkeypatch.setattr(kept, "SCRATCH_ABOVE", -(1 << 40))


@given(
    st.integers(1, 400).flatmap(
        lambda size: st.tuples(
            st.just(size),
            st.lists(st.tuples(st.integers(0, size), st.sampled_from(["", "x", "xx" * 20])), max_size=60),
        )
    ),
    st.sampled_from([1, 16, 1024]),
)
@few
def test_two_blocks_that_differ_here_and_there_are_told_apart_as_sets_are(drawn, sparse):
    """Stretches that are equal are leapt over, in steps that must end at ids and never pass one."""
    size, changes = drawn
    here = [f"{number:03}-vector" for number in range(size)]
    there = set(here)
    for number, ending in changes:  # removed, replaced by a longer one, or by a much longer one
        there.discard(f"{number:03}-vector")
        there |= {f"{number:03}-vector{ending}"} if ending else set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "_SPARSE", sparse)
        for one, other in ((set(here), there), (there, set(here))):
            if one and other:
                blocks = [b"\xff".join(sorted(each.encode() for each in ids)) for ids in (one, other)]
                alone, common, added = merging.told_apart(*blocks)
                assert [raw.decode() for raw in alone] == sorted(one - other)
                assert common == b"\xff".join(sorted(each.encode() for each in one & other))
                assert [raw.decode() for raw in added] == sorted(other - one)


@given(id_sets, id_sets, st.integers(1, 5), st.booleans())
@few
def test_sets_compared_in_one_pass_are_what_python_says(left, right, size, known):
    one, other = IdSet.of(left), cut_otherwise(IdSet.of(right), size, known=known)
    if known:
        one.digest()
    found = one.compared(other)
    assert [list(each) for each in found] == [sorted(left - right), sorted(left & right), sorted(right - left)]
    assert [len(each) for each in found] == [len(left - right), len(left & right), len(right - left)]
    assert (one == other) == (left == right)
    assert one.is_known_to_be(other) <= (left == right)
    assert set(one | other) == left | right
    assert list(other.blocks()) == [chunk.block() for chunk in other.pieces]


@given(st.lists(one_id, max_size=20))
@few
def test_a_block_is_the_ids_in_order_each_once(ids):
    block = block_of(in_order(ids))
    assert block == b"\xff".join(each.encode() for each in sorted(set(ids)))
    assert list(IdSet.of_block(block)) == sorted(set(ids))


@pytest.mark.parametrize("ids", [["a", "\ud800"], ["\udfff"], ["\x00", "\udc80"]])
def test_half_a_surrogate_pair_never_gets_into_a_block(ids):
    with pytest.raises(UnicodeEncodeError):
        block_of(ids)


@given(
    st.lists(st.tuples(st.sampled_from(["block", "ids"]), st.sets(one_id, min_size=1, max_size=6)), max_size=12)
)
@few
def test_a_builder_takes_blocks_and_ids_in_any_mixture(steps):
    builder, plain, added = IdSetBuilder(), set(), 0
    for number, (how, ids) in enumerate(steps):
        if how == "block":
            builder.extend_block(block_of(in_order(list(ids))))
        else:
            builder.extend(list(ids))
        plain, added = plain | ids, added + len(ids)
        if number % 4 == 3:
            assert list(builder.build()) == sorted(plain)
    assert builder.added == added
    assert list(builder.build()) == sorted(plain)
    assert len(builder.build()) == len(plain)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "cut", "settle", "all"]),
            st.lists(st.sets(one_id, min_size=1, max_size=4), min_size=1, max_size=3),
            st.integers(1, 20),
        )
    )
)
@few
def test_pages_give_back_every_block_at_its_place(steps):
    made, added, settled = Pages(), [], 0  # `added`: (place, block), some at once
    for what, sets, least in steps:
        match what:
            case "add":
                blocks = [block_of(in_order(list(ids))) for ids in sets]
                place, at_once = made.add((block, len(ids)) for block, ids in zip(blocks, sets, strict=True)), []
                for block in blocks:
                    at_once.append((place, block))
                    place += len(block) + 1
                added.append(at_once)
            case "cut":
                for _ in range(least // 5):
                    if added and added[-1][0][0] >= settled:
                        made.cut(added.pop()[0][0])
            case "settle":
                with patch.object(pages, "PAGE_BYTES", least):
                    made.settle()
                settled = made.size
            case _:
                made.pages()
                settled = made.size
        assert made.size == settled
        blocks = list(chain.from_iterable(added))
        for place, block in [*blocks, *reversed(blocks)]:
            assert made.read(place, len(block)) == block == chunks.joined(made.piece(place, place + len(block)))
    for at_once in added:
        if at_once[0][0] < made.size:
            made.cut(at_once[0][0])  # what is settled stays
    blocks = list(chain.from_iterable(added))
    for pages_ in (made, Pages(made.pages()), Pages(Kept(page.read()) for page in made.pages())):
        assert all(pages_.read(place, len(block)) == block for place, block in blocks)
        assert sum(page.size + 1 for page in pages_.pages()) == pages_.size
        chunks_ = [page for page in pages_.pages() if isinstance(page, chunks.Chunk)]
        assert all(chunk.count == len(chunk.ids()) for chunk in chunks_)


def test_what_was_added_at_once_fills_as_many_pages_as_it_needs(monkeypatch):
    monkeypatch.setattr(pages, "PAGE_BYTES", 20)
    made = Pages()
    ids = [f"id-{number:03}".encode() for number in range(100)]
    blocks = [b"\xff".join(ids[at : at + 2]) for at in range(0, 100, 2)]
    place = made.add((block, 2) for block in blocks)
    made.settle()
    sizes = [page.size for page in made.pages()]
    assert all(20 <= size < 40 for size in sizes[:-1])
    assert [raw for page in made.pages() for raw in page.read().split(b"\xff")] == ids
    assert made.add([(b"x", 1)]) == made.size
    for number, block in enumerate(blocks):
        at = place + number * (len(block) + 1)
        assert made.read(at, len(block)) == block
        assert made.reach(at) > at


def test_blocks_that_could_not_be_added_whole_are_not_counted(monkeypatch):
    """A fold goes on after whatever was raised; a page that counts more ids than it has becomes a set that lies."""

    def broken():
        yield b"b", 1
        raise MemoryError

    monkeypatch.setattr(pages, "PAGE_BYTES", 4)
    made = Pages()
    made.add([(b"a", 1)])
    with pytest.raises(MemoryError):
        made.add(broken())
    made.add([(b"bb", 1)])
    (page,) = made.pages()
    assert isinstance(page, chunks.Chunk)
    assert (page.count, page.ids()) == (2, [b"a", b"bb"])


@given(st.lists(st.sets(one_id, min_size=1, max_size=4), max_size=8), st.booleans(), st.integers(1, 40))
@few
def test_what_is_within_reach_is_in_order_and_a_whole_page_of_it_a_chunk(sets, ascending, least):
    if ascending:
        every = sorted(set().union(*sets))
        sets = [every[start : start + 3] for start in range(0, len(every), 3)]
    made, places = Pages(), []
    with patch.object(pages, "PAGE_BYTES", least):
        for ids in sets:
            block = block_of(in_order(list(ids)))
            places.append((made.add([(block, len(ids))]), len(block)))
            assert made.reach(places[-1][0]) == places[-1][0], "nothing is known before it is settled"
            made.settle()
    settled = made.size
    for number, (start, size) in enumerate(places):
        if start >= settled:
            continue
        reach = made.reach(start)
        within = [end for end in (place + size for place, size in places[number:]) if end <= reach]
        assert reach in (start, *within), "it ends where a block ends"
        assert reach > start or not ascending
        for count, end in enumerate(within, number + 1):
            ids = chunks.split(made.piece(start, end))
            assert ids == sorted({id_.encode() for some in sets[number:count] for id_ in some})
    whole = [page for page in made.pages() if isinstance(page, chunks.Chunk)]
    for page in whole:
        ids = page.ids()
        assert (page.count, page.first, page.last, ids) == (len(ids), ids[0], ids[-1], sorted(set(ids)))
    starts = {start: made.piece(start, made.reach(start)) for start, _ in places if made.reach(start) > start}
    assert all(any(page is piece for piece in starts.values()) for page in whole)
    assert not ascending or len(whole) == len(made.pages())


@given(st.lists(st.sets(one_id, min_size=2, max_size=5), max_size=6), st.integers(-8, 8), st.integers(-8, 8))
@few
def test_batches_are_a_sequence_like_a_tuple_of_records(rows, start, stop):
    undo = []
    table = BatchTable(3, Pages(), {}, undo)
    for number, ids in enumerate(rows, 1):
        ordered = sorted(ids, reverse=True)
        table.add(number, "r", number * 10, "at", [((1,), ordered[:1]), ((1, 2), ordered[1:])])
        if number % 2:
            table.accept(number - 1, number * 10 + 1, "then", f"m{number}")
    batches, plain = Batches.of(table.frozen()), tuple(map(table.record, range(len(rows))))
    assert (len(batches), tuple(batches), tuple(reversed(batches))) == (len(plain), plain, plain[::-1])
    assert batches == plain
    assert plain == tuple(batches)
    assert batches == Batches.of(table.frozen())
    assert hash(batches) == hash(plain)
    assert (batches == (*plain, None)) is False
    assert batches[start:stop] == plain[start:stop]
    assert batches[::-2] == plain[::-2]
    for place in (start, stop):
        if -len(plain) <= place < len(plain):
            assert batches[place] == plain[place]
        else:
            with pytest.raises(IndexError):
                batches[place]
    for record, ids in zip(batches, rows, strict=True):
        assert set(record.ids) == ids
        least = max(ids)
        assert record.declared == (((1,), IdSet.of([least])), ((1, 2), IdSet.of(ids - {least})))
        assert record.declared[-1][0] == (1, 2)
        assert record.status in (Status.ACCEPTED, Status.UNRESOLVED)
    for step in reversed(undo):
        step()
    assert list(table.number) == [] == list(table.status)
    assert Columns(3, table.pages).number == table.number
    assert tuple(batches.columns.number) == tuple(range(1, len(rows) + 1))

"""IdSet against Python's own set of str."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
import tracemalloc
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import CacheDamaged
from reconciler.model import building, chunks, idset, kept, merging
from reconciler.model.idset import IdSet, IdSetBuilder
from reconciler.model.partition import partition

#: Few letters, so that ids collide, nest and share prefixes; with everything that could end a line or a block.
hostile = st.text(
    st.sampled_from(["a", "b", "/", "\n", "\r", "\x00", "\x7f", "\xff", "é", "\u2028", "\uffff", "😀"]),
    min_size=1,
    max_size=4,
)
ordinary = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
one_id = hostile | ordinary
id_sets = st.sets(one_id, max_size=40)

#: Bytes that memory may hold. Less than none: chunks of earlier tests that are given up now are counted back.
NOTHING = -(1 << 40)

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True, params=["as it is", "in many chunks", "in the scratch file"])
def chunks_are(request, monkeypatch):
    """A set of a few ids has one chunk: here it has as many as one of millions, in memory and on disk."""
    if request.param == "as it is":
        return
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 8)
    monkeypatch.setattr(chunks, "_IDS_AT_ONCE", 2)
    for name, value in {"_RUN_IDS": 4, "_RANGES": 3, "_PAGE_BYTES": 12, "LARGE": 40, "_SAMPLED": 2}.items():
        monkeypatch.setattr(building, name, value)
    monkeypatch.setattr(idset, "_RUNS", 2)
    monkeypatch.setattr(merging, "LOOK_UP", 3)
    if request.param == "in the scratch file":
        monkeypatch.setattr(kept, "SCRATCH_ABOVE", NOTHING)


@given(st.lists(one_id, max_size=40))
@few
def test_an_id_is_held_once_and_given_back_in_order(ids):
    held = IdSet.of(ids)
    assert list(held) == sorted(set(ids))
    assert len(held) == len(set(ids))
    assert bool(held) == bool(ids)


@given(id_sets)
@few
def test_order_is_that_of_the_utf8_bytes(ids):
    raw = [each.encode() for each in IdSet.of(ids)]
    assert all(one < other for one, other in pairwise(raw))


@given(id_sets, id_sets)
@few
def test_set_algebra_agrees_with_python(left, right):
    one, other = IdSet.of(left), IdSet.of(right)
    assert set(one | other) == left | right
    assert set(one & other) == left & right
    assert set(one - other) == left - right
    assert (one <= other) == (left <= right)
    assert (one >= other) == (left >= right)
    assert one.isdisjoint(other) == left.isdisjoint(right)
    assert (one == other) == (left == right)
    assert (one != other) == (left != right)
    assert (one.digest() == other.digest()) == (left == right)
    for made in (one | other, one & other, one - other):
        assert list(made) == sorted(made)
        assert len(made) == len(set(made))


@given(id_sets)
@few
def test_a_set_combined_with_itself(ids):
    held, again = IdSet.of(ids), IdSet.of(list(ids))
    assert held == again
    assert hash(held) == hash(again)
    assert held | again == held
    assert held & again == held
    assert held - again == IdSet()
    assert held <= again


@given(st.sets(one_id, min_size=1, max_size=3), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_a_few_among_many_take_the_short_way_to_the_same_answer(small, size):
    many = {f"{number:05d}" for number in range(size)} | set(sorted(small)[:1])
    one, other = IdSet.of(small), IdSet.of(many)
    assert set(one & other) == set(other & one) == small & many
    assert set(one - other) == small - many
    assert set(other - one) == many - small


@given(st.lists(id_sets, max_size=6))
@few
def test_union_of_many(sets):
    made = IdSet.union(IdSet.of(each) for each in sets)
    assert list(made) == sorted(reduce(set.union, sets, set()))
    assert len(made) == len(list(made))


@given(id_sets, one_id)
@few
def test_membership_never_mistakes_a_part_of_an_id_for_an_id(ids, stranger):
    held = IdSet.of(ids)
    for each in ids:
        assert each in held
        for part in (each[:-1], each[1:], each + "a", "a" + each):
            assert (part in held) == (part in ids)
    assert (stranger in held) == (stranger in ids)
    assert "" not in held


@given(id_sets, st.text(st.sampled_from("ab/\n\x00é\uffff😀"), max_size=3))
@few
def test_a_prefix_finds_what_begins_with_it_and_nothing_else(ids, prefix):
    found = IdSet.of(ids).starting_with(prefix)
    assert list(found) == sorted(each for each in ids if each.startswith(prefix))
    assert len(found) == len(list(found))


@given(id_sets, st.integers(1, 50))
@few
def test_chunks_are_full_but_for_the_last_and_lose_nothing(ids, size):
    chunks = list(IdSet.of(ids).chunks(size))
    assert [each for chunk in chunks for each in chunk] == sorted(ids)
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert all(1 <= len(chunk) <= size for chunk in chunks)


@given(id_sets, st.integers(0, 50))
@few
def test_first_gives_the_smallest(ids, count):
    assert IdSet.of(ids).first(count) == sorted(ids)[:count]


@given(st.lists(st.lists(one_id, max_size=10), max_size=8), st.lists(one_id, max_size=10))
@few
def test_a_builder_takes_blocks_in_any_order_with_repetitions_and_goes_on_afterwards(blocks, later):
    builder = IdSetBuilder()
    for block in blocks:
        builder.extend(block)
    everything = [each for block in blocks for each in block]
    assert builder.added == len(everything)
    assert builder.build() == IdSet.of(everything)
    builder.extend(later)
    assert builder.build() == IdSet.of([*everything, *later])
    assert builder.build() == builder.build()


@given(st.lists(st.lists(one_id, min_size=1, max_size=6, unique=True).map(sorted), max_size=8))
@few
def test_a_builder_takes_what_arrives_in_order_by_blocks_that_may_not_be(blocks):
    builder = IdSetBuilder()
    for block in blocks:
        builder.extend(block)
    assert list(builder.build()) == sorted({each for block in blocks for each in block})


@pytest.mark.parametrize(
    "order",
    [
        lambda number: number ^ 1,  # nearly in order: the first run says nothing of those that follow
        lambda number: -number,
        lambda number: number * 7919 % 10_007,
        lambda number: number // 3 * (-1) ** number,  # repeated, from both ends
    ],
)
def test_only_little_is_sorted_at_once_whatever_order_ids_come_in(monkeypatch, order):
    """What is sorted at once is taken apart in memory: megabytes would be a hundred bytes an id."""
    for name, value in {"_RUN_IDS": 256, "_RANGES": 16, "_PAGE_BYTES": 512, "LARGE": 8192, "_SAMPLED": 8}.items():
        monkeypatch.setattr(building, name, value)
    sizes = []

    def counted(ids):
        sizes.append(len(ids))
        return chunks.unique(ids)

    monkeypatch.setattr(building, "unique", counted)
    ids = [f"id-{order(number) + 20_000:08}" for number in range(10_000)]
    builder = IdSetBuilder()
    for start in range(0, len(ids), 100):
        builder.extend(ids[start : start + 100])
    assert list(builder.build()) == sorted(set(ids))
    assert max(sizes) < 2_000


@given(st.lists(st.tuples(id_sets, id_sets), min_size=1, max_size=4))
@few
def test_what_is_made_from_the_results_of_other_operations_is_right_too(pairs):
    """Results share chunks with their operands, so their chunks end elsewhere than those of a fresh set."""
    held, plain = IdSet(), set()
    for added, taken in pairs:
        held, plain = (held | IdSet.of(added)) - IdSet.of(taken), (plain | added) - taken
        again = IdSet.of(plain)
        assert held == again
        assert hash(held) == hash(again)
        assert held.digest() == again.digest()
        assert held <= again <= held
        assert held & again == held
        assert not held - again
        assert list(held) == sorted(plain)
        assert held.isdisjoint(IdSet.of(taken))


def test_digest_is_the_published_one():
    """The state's frames hold digests: another formula would disown every log written before."""
    assert IdSet.of(["b", "é", "a"]).digest() == hashlib.sha256(b"a\xffb\xff\xc3\xa9").hexdigest()
    assert IdSet().digest() == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("left", "right"), [(["ab"], ["a", "b"]), (["a\x00b"], ["a", "b"]), (["a"], ["a", "a\x00"])]
)
def test_ids_never_run_together(left, right):
    assert IdSet.of(left) != IdSet.of(right)
    assert IdSet.of(left).digest() != IdSet.of(right).digest()


@pytest.mark.parametrize("id_", ["\n", "\x00", "\uffff", "\U0010ffff", "😀" * 16, "x" * 64, "é" * 32, "\xff"])
def test_an_unusual_id_comes_back_unchanged(id_):
    held = IdSet.of([id_, "a", "z"])
    assert id_ in held
    assert set(held) == {id_, "a", "z"}
    assert list(held & IdSet.of([id_])) == [id_]
    assert held.starting_with(id_).first(1) == [id_]


@pytest.mark.parametrize("broken", ["\ud800", "a\udfff", "\udc80b"])
def test_half_a_surrogate_pair_never_becomes_an_id(broken):
    with pytest.raises(UnicodeEncodeError):
        IdSet.of(["fine", broken])
    builder = IdSetBuilder()
    builder.extend(["fine"])
    with pytest.raises(UnicodeEncodeError):
        builder.extend(["also fine", broken])
    assert builder.build() == IdSet.of(["fine"])
    assert builder.added == 1
    assert broken not in IdSet.of(["fine"])


def test_an_operation_never_changes_its_operands():
    one, other = IdSet.of("abc"), IdSet.of("bcd")
    _ = (one | other, one & other, one - other, one.starting_with("a"), partition(one, [other, other]))
    assert (list(one), list(other)) == (list("abc"), list("bcd"))


def test_an_id_set_is_not_equal_to_a_set_of_str():
    assert IdSet.of("ab") != {"a", "b"}
    assert (IdSet() == frozenset()) is False


def test_repr_never_shows_the_ids():
    assert repr(IdSet.of(["secret@example.org"])) == "<IdSet of 1>"


@pytest.mark.parametrize("pad", [*range(1, 65)])
def test_iteration_neither_loses_nor_cuts_an_id_where_a_piece_ends(pad):
    # 64 bytes and a separator each: with the padding, every alignment to the pieces of 64 KiB occurs.
    ids = ["!" * pad, *(f"{number:064d}" for number in range(2100))]
    assert list(IdSet.of(ids)) == ids


def test_two_hundred_thousand_ids_without_an_object_for_each(monkeypatch):
    monkeypatch.undo()  # chunks of two ids are no measure
    ids = [f"user-{number:06d}/chunk" for number in range(200_000)]
    builder = IdSetBuilder()
    for start in range(0, len(ids), 10_000):
        builder.extend(ids[start : start + 10_000])
    held = builder.build()
    even = IdSet.of(ids[::2])
    size = sum(map(len, ids)) + len(ids)
    del ids, builder

    tracemalloc.start()
    copy = held - IdSet.of(["user-000000/chunk"])
    copied, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    count = sum(1 for _ in copy)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == len(copy) == 199_999
    assert copied < size * 1.2, "an object for each id is kept"
    assert peak - copied < 2_000_000, "iterating took the set apart as a whole"
    assert held.first(2) == ["user-000000/chunk", "user-000001/chunk"]
    assert held & even == even
    assert len(held - even) == 100_000
    assert even <= held
    assert not held <= even
    assert len(held.starting_with("user-19")) == 10_000
    assert "user-123456/chunk" in held
    assert "user-123456" not in held
    assert [(numbers, len(group)) for numbers, group in partition(held, [even, held])] == [
        ((0, 1), 100_000),
        ((1,), 100_000),
    ]
    assert sum(map(len, held.chunks(100))) == 200_000


@given(id_sets, one_id)
@few
def test_the_neighbours_of_a_bound_are_found(ids, bound):
    held = IdSet.of(ids)
    assert held.ceiling(bound) == min((each for each in ids if each >= bound), default=None)
    assert held.lower(bound) == max((each for each in ids if each < bound), default=None)
    assert held.ceiling("") == min(ids, default=None)
    assert held.lower("") is None


@given(id_sets, st.integers(0, 50))
@few
def test_ids_spread_over_a_set_are_in_order_with_the_first_and_the_last(ids, count):
    spread, ordered = IdSet.of(ids).spread(count), sorted(ids)
    assert len(spread) <= count
    assert spread == sorted(set(spread) & ids)
    if count >= 2 and ids:
        assert (spread[0], spread[-1]) == (ordered[0], ordered[-1])
    elif count == 1:
        assert spread == ordered[:1]


def test_ids_beyond_what_memory_may_hold_are_in_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "SCRATCH_ABOVE", NOTHING)
    monkeypatch.setattr(kept, "_scratch", kept._Scratch())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ids = [f"user-{number:06d}" for number in range(50_000)]
    held = IdSet.of(ids)
    assert list(tmp_path.iterdir()) == []
    assert all(chunk._bytes is None for chunk in held._chunks)
    assert os.fstat(kept._scratch._file.fileno()).st_size == sum(map(len, ids)) + len(ids) - len(held._chunks)
    assert stat.S_IMODE(os.fstat(kept._scratch._file.fileno()).st_mode) == 0o600
    assert list(held) == ids


def test_a_child_process_never_writes_over_what_its_parent_keeps(monkeypatch):
    monkeypatch.setattr(kept, "SCRATCH_ABOVE", NOTHING)
    parents = IdSet.of(["a", "b"])
    child = os.fork()
    if not child:
        childs = IdSet.of(["x", "y"])
        os._exit(0 if (list(childs), list(parents)) == (["x", "y"], ["a", "b"]) else 1)
    own = IdSet.of(["c", "d"])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (list(parents), list(own)) == (["a", "b"], ["c", "d"])


def test_memory_is_given_back_with_the_last_set_that_holds_it(monkeypatch):
    monkeypatch.setattr(kept, "SCRATCH_ABOVE", 1 << 40)
    before = kept._scratch.held
    held = IdSet.of([f"user-{number:06d}" for number in range(10_000)])
    rest = held - IdSet.of(["user-000001"])
    assert kept._scratch.held > before
    del held, rest
    assert kept._scratch.held == before


def test_where_there_is_no_room_for_a_scratch_file_memory_holds_the_ids(monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kept, "SCRATCH_ABOVE", NOTHING)
    monkeypatch.setattr(kept.os, "pwrite", full)
    assert list(IdSet.of("abc") - IdSet.of("b")) == ["a", "c"]


def test_a_scratch_file_that_lost_ids_is_an_error_and_never_a_smaller_set(monkeypatch):
    monkeypatch.setattr(kept, "SCRATCH_ABOVE", NOTHING)
    monkeypatch.setattr(kept, "_scratch", kept._Scratch())
    held = IdSet.of(f"keep-{n:06}" for n in range(30_000))
    assert "keep-000001" in held
    os.ftruncate(kept._scratch._file.fileno(), 200_000)
    with pytest.raises(CacheDamaged, match="scratch file"):
        list(held)
    os.ftruncate(kept._scratch._file.fileno(), 1_000_000)  # zeros where ids were
    with pytest.raises(CacheDamaged, match="scratch file"):
        len(IdSet.of(["keep-029999"]) & held)

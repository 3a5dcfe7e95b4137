"""Folding: whatever the ids are, counts add up and every id is under exactly one group."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.idset import IdSet
from reconciler.render import folding
from reconciler.render.folding import Group, common_prefix, fold

#: Few letters and many separators, so that prefixes nest, end in the middle of others and are ids themselves.
nested = st.text("ab/#-😀\n", min_size=1, max_size=7)
ordinary = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
id_sets = st.sets(nested | ordinary, max_size=60)


def group_of(id_: str, groups: tuple[Group, ...]) -> Group:
    return max((each for each in groups if id_.startswith(each.prefix)), key=lambda each: len(each.prefix))


@given(id_sets, st.integers(1, 9), st.integers(0, 4))
@settings(deadline=None)
def test_every_id_is_under_exactly_one_group_and_counts_are_exact(ids, most, examples):
    groups = fold(IdSet.of(ids), groups=most, examples=examples)
    assert len(groups) <= most
    assert sum(each.count for each in groups) == len(ids)
    assert len({each.prefix for each in groups}) == len(groups)
    under: dict[str, list[str]] = {each.prefix: [] for each in groups}
    for id_ in sorted(ids):
        under[group_of(id_, groups).prefix].append(id_)
    for each in groups:
        held = under[each.prefix]
        assert each.count == len(held)
        assert each.examples == tuple(held[:examples])
        assert each.last == held[-1]
        others = [other for other in groups if other.prefix.startswith(each.prefix) and other is not each]
        assert each.others == bool(others)


@given(id_sets, st.integers(1, 9))
@settings(deadline=None)
def test_what_is_left_of_a_prefix_stands_after_its_parts(ids, most):
    groups = fold(IdSet.of(ids), groups=most)
    for number, each in enumerate(groups):
        assert not any(later.prefix.startswith(each.prefix) for later in groups[number + 1 :])


@given(id_sets.filter(bool))
def test_the_common_prefix_is_one(ids):
    prefix = common_prefix(IdSet.of(ids))
    assert all(id_.startswith(prefix) for id_ in ids)


@given(id_sets.filter(bool), st.integers(1, 24))
@settings(deadline=None, max_examples=300)
def test_parts_are_what_begins_alike_and_few_ids_are_all_looked_at(ids, most):
    """Few are taken apart as a list; of many some are looked at, so a part that is rare by its bytes may be missed."""
    held = IdSet.of(ids)
    prefix = common_prefix(held)
    of: dict[str, list[str]] = {}
    for id_ in sorted(ids):
        rest = id_[len(prefix) :]
        cut = next((n for n, letter in enumerate(rest, 1) if letter in folding.SEPARATORS), 0)
        of.setdefault(prefix + rest[:cut] if cut else id_ + " has none", []).append(id_)
    least = 2 if len(of) <= most else max(2, len(ids) // most)
    expected = [some for name, some in of.items() if len(some) >= least and not name.endswith(" has none")]
    few = folding._parts(folding._node(folding._Few.of(held)), most)
    many = folding._parts(folding._node(held), most)
    assert [each.first(len(each)) for each in few] == expected
    assert all(part in expected for part in map(list, many))
    assert len(of) > most or len(many) == len(expected)


@pytest.mark.parametrize("before", range(0, 700, 41))
@pytest.mark.parametrize("most", [4, 16, 23])
def test_of_few_ids_a_part_that_is_just_large_enough_is_found_wherever_it_stands(before, most):
    count = 1000
    least = count // most
    lone = [f"{n:04}/" for n in range(count - 2 * least + 1)]
    ids = lone[:before] + [f"{before:04}-/{n}" for n in range(least)] + lone[before:]
    ids += [f"~/{n}" for n in range(least - 1)]  # one too few
    few = folding._parts(folding._node(folding._Few.of(IdSet.of(ids))), most)
    assert [(part.ends()[0], len(part)) for part in few] == [(f"{before:04}-/0", least)]


@pytest.mark.parametrize("before", range(0, 100, 7))
@pytest.mark.parametrize("groups", [2, 3, 4, 9])
def test_parts_that_hold_just_half_of_few_ids_are_never_passed_over(before, groups):
    parts = groups - 1  # one is for the others
    each = 240 // parts
    ids = [f"{n:04}/" for n in range(each * parts)]
    names = [f"{before + part * (len(ids) - 100) // parts:04}-/" for part in range(parts)]
    ids += [f"{name}{n:03}" for name in names for n in range(each)]
    assert folded(ids, groups)[:-1] == [(name, each) for name in names]


def test_no_id_folds_into_no_group_and_no_group_is_refused():
    assert fold(IdSet(), groups=3) == ()
    with pytest.raises(ValueError, match="less than one group"):
        fold(IdSet.of(["a"]), groups=0)


def folded(ids, groups=8):
    return [(each.prefix, each.count) for each in fold(IdSet.of(ids), groups=groups)]


def test_ids_are_grouped_where_their_separators_are():
    ids = [
        *(f"doc-{n:06d}#chunk-{c}" for n in (17, 18) for c in range(12)),
        *(f"user-829/{c}" for c in "abcd"),
        "z",
    ]
    assert folded(ids) == [("doc-000017#chunk-", 12), ("doc-000018#chunk-", 12), ("user-829/", 4), ("", 1)]


def test_numbers_and_uuids_are_not_taken_apart():
    assert folded(f"doc-{n:06d}#chunk-{c}" for n in range(400) for c in range(3)) == [("doc-", 1200)]
    assert folded(f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}-{n:04x}" for n in range(999)) == [("", 999)]


def test_a_few_large_parts_stand_out_of_thousands_of_small_ones():
    ids = [f"tenant-{n}/x" for n in range(3000)] + [f"tenant-{n}/{m}" for n in (5, 2900) for m in range(4000)]
    assert folded(ids, 5) == [("tenant-2900/", 4001), ("tenant-5/", 4001), ("tenant-", 2998)]


def test_the_largest_group_is_split_first():
    ids = [
        f"{region}:{part}/{n}" for region, many in (("eu", 40), ("us", 9)) for part in "ab" for n in range(many)
    ]
    assert folded(ids, 2) == [("eu:", 80), ("us:", 18)]
    assert folded(ids, 3) == [("eu:a/", 40), ("eu:b/", 40), ("us:", 18)]


class _Counted(IdSet):
    __slots__ = ()

    def __iter__(self):
        raise AssertionError("all ids become strings")


def test_a_million_ids_never_become_a_million_strings():
    ids = _Counted.of_raw([b"t-%d/doc-%07d" % (n // 250_000, n) for n in range(1_000_000)])
    groups = fold(ids, groups=6, examples=2)
    assert [each.count for each in groups] == [250_000] * 4
    assert groups[3] == Group(
        "t-3/doc-", 250_000, ("t-3/doc-0750000", "t-3/doc-0750001"), "t-3/doc-0999999", others=False
    )

"""A comparison as Markdown: it fits, its numbers are exact, and nothing that strangers wrote acts in it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.comparison import compare
from reconciler.model.plan import ActionKind, ActionSource
from reconciler.render.comparison import PARTS, WORDS
from reconciler.render.comparison_markdown import LEAST_BYTES, Setting, document
from support import hostile
from support.hosts import RENDERERS, acts, rendered
from support.plans import action, index_plan, target, whole_plan

SIZES = (LEAST_BYTES, 15_000, 65_000)
BASE = Setting("What this introduces", "the plan of its base", "a" * 40, plan_follows=True)
KINDS = [kind for kind in ActionKind if kind is not ActionKind.UNCHANGED]


def check_numbers(found, written):
    """The rows of the table add up to what the plans hold, by kind and part."""
    counted = Counter()
    for _, said, *numbers in (
        row for row in rendered(written, next(iter(RENDERERS))).rows if row[2] != "introduced"
    ):
        (kind,) = [kind for kind in KINDS if said == f"{kind.symbol} {WORDS[kind]}"]
        for part, number in zip(PARTS, numbers, strict=True):
            counted[kind, part] += int(number.replace(",", ""))
    assert counted == {
        (kind, part): found.count(part, kind) for kind in KINDS for part in PARTS if (kind, part) in counted
    }
    for kind in KINDS:
        if any(found.count(part, kind) for part in PARTS):
            assert (kind, "introduced") in counted


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("most", [LEAST_BYTES, 3_000_000])
@pytest.mark.parametrize("swapped", [False, True])
def test_nothing_that_strangers_wrote_acts_in_any_host(renderer, most, swapped):
    sources = [ActionSource(text, number, text[::-1]) for number, text in enumerate(hostile.STRINGS)]
    indexes = [
        index_plan(
            target(name[:64], account=name, origin=name),
            *(action(hostile.ids(), kind, each, reason=name) for kind, each in zip(KINDS, sources, strict=False)),
            action(["…", "… and 5 more", "-"], ActionKind.DELETE, *sources[:4]),
        )
        for name in hostile.STRINGS
    ]
    pair = [whole_plan(*indexes, fingerprint=hostile.STRINGS[2]), whole_plan(*indexes[:1])]
    found = compare(*(pair[::-1] if swapped else pair))
    for setting in (None, BASE):
        written = document(found, hostile.STRINGS, setting, max_bytes=most)
        page = rendered(written, renderer)
        assert acts(page) == []
        assert page.names <= {
            "h3", "p", "strong", "code", "pre", "ul", "li", "blockquote", "details", "summary",
            "table", "thead", "tbody", "tr", "th", "td",
        }  # fmt: skip
        assert page.comments == []
        assert len(written.encode()) <= most


def many(count, ids):
    """Indexes with every kind of action, whose names take the most bytes."""
    return [
        index_plan(
            target("é" * 60 + f"{n:04}", account="é" * 64),
            *(action([f"{kind.value}-{i}" for i in range(ids)], kind) for kind in KINDS),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("most", SIZES)
def test_a_thousand_indexes_fit_with_every_number_exact(most):
    found = compare(whole_plan(*many(1_000, 3)), whole_plan(*many(700, 2)))
    written = document(found, [f"file-{n} was changed" * 30 for n in range(5_000)], max_bytes=most)
    assert len(written.encode()) <= most
    check_numbers(found, written)
    assert "more indexes" in written
    assert "5,000 differences" in written
    assert "did not fit and are only counted above" in written


def test_what_introduces_most_is_named_first():
    head = [index_plan(target(f"i{n}"), action([f"i{n}-{i}" for i in range(n)])) for n in range(1, 200)]
    written = document(compare(whole_plan(*head), whole_plan()), (), max_bytes=LEAST_BYTES)
    assert "/i199`" in written
    assert "/i199</code>: 199 to delete, introduced" in written
    assert "/i2`" not in written


def test_many_ids_are_folded_and_none_is_dropped_without_being_counted():
    ids = [f"user-{n % 3}/{n:05}" for n in range(30_000)]
    found = compare(whole_plan(index_plan(target("docs"), action(ids))), whole_plan())
    written = document(found, (), max_bytes=LEAST_BYTES)
    for user in range(3):
        assert f"10,000 begin with user-{user}/" in written
    assert all(id_ in document(found, (), max_bytes=2_000_000, verbose=True) for id_ in ids[::1000])


def test_less_than_the_least_size_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        document(compare(whole_plan(), whole_plan()), (), max_bytes=LEAST_BYTES - 1)


@pytest.mark.parametrize(
    ("head", "base", "said"),
    [
        ([], [], "Neither plan does anything."),
        (["a"], [], "All that the plan below does is introduced here"),
        (["a"], ["a"], "Nothing is introduced"),
    ],
)
def test_above_a_plan_the_commonest_cases_are_one_sentence(head, base, said):
    plans = (whole_plan(*([index_plan(target("docs"), action(ids))] if ids else [])) for ids in (head, base))
    found = compare(*plans)
    assert said in document(found, (), BASE)
    assert said not in document(found, ())
    assert "<details>" not in document(found, (), BASE)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"unresolved_prefixes": True}, "A prefix was never listed"),
        ({"observed": False}, "read for one of the plans alone"),
    ],
)
def test_what_makes_the_counts_less_than_the_whole_truth_is_said(more, said):
    assert said in document(compare(whole_plan(**more), whole_plan()), ())
    assert said not in document(compare(whole_plan(), whole_plan()), ())


some = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sets(st.integers(0, 60), min_size=1)),
    max_size=3,
    unique_by=lambda t: t[0],
)


@given(st.lists(st.tuples(some, some), max_size=30))
@settings(deadline=None, max_examples=30)
def test_whatever_two_plans_hold_it_fits_and_its_numbers_are_exact(made):
    def plan(side):
        return whole_plan(
            *(
                index_plan(target(f"i{n}"), *(action([f"x/{i}" for i in ids], kind) for kind, ids in pair[side]))
                for n, pair in enumerate(made)
            )
        )

    found = compare(plan(0), plan(1))
    for most in (LEAST_BYTES, 15_000):
        written = document(found, ["one", "two"], max_bytes=most)
        assert len(written.encode()) <= most
        if found.indexes:
            check_numbers(found, written)

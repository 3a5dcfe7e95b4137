from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.diagnostic import (
    Diagnostic,
    Position,
    Severity,
    diagnostic_dict,
    error,
    has_errors,
    has_refusals,
    note,
    refusal,
    warning,
)


@pytest.mark.parametrize(
    ("position", "text"),
    [
        (Position("m/a.yaml"), "m/a.yaml"),
        (Position("m/a.yaml", 3), "m/a.yaml:3"),
        (Position("m/a.yaml", 3, 7), "m/a.yaml:3:7"),
    ],
)
def test_a_position_reads_as_editors_understand_it(position, text):
    assert str(position) == text


def test_positions_sort_by_numbers_not_by_their_text():
    places = [Position("b", 1), Position("a", 10), Position("a", 9, 2), Position("a", 9, 10), Position("a")]
    assert sorted(places) == [
        Position("a"),
        Position("a", 9, 2),
        Position("a", 9, 10),
        Position("a", 10),
        Position("b", 1),
    ]


@given(
    st.permutations([(p, c, s) for p in (None, Position("a", 2), Position("a", 10)) for c in "xy" for s in "pq"])
)
def test_diagnostics_are_reported_in_one_order_however_they_were_found(found):
    made = [Diagnostic(Severity.ERROR, code, summary, position=place) for place, code, summary in found]
    ordered = [(d.position, d.code, d.summary) for d in sorted(made, key=lambda d: d.sort_key)]
    assert ordered[:4] == [(None, "x", "p"), (None, "x", "q"), (None, "y", "p"), (None, "y", "q")]
    assert [each[0] for each in ordered[4:]] == [Position("a", 2)] * 4 + [Position("a", 10)] * 4


@pytest.mark.parametrize(
    ("make", "severity"),
    [
        (error, Severity.ERROR),
        (refusal, Severity.REFUSAL),
        (warning, Severity.WARNING),
        (note, Severity.NOTE),
    ],
)
def test_each_maker_gives_its_severity(make, severity):
    made = make("some-code", "what", "why", Position("a", 1))
    assert made == Diagnostic(severity, "some-code", "what", "why", Position("a", 1))
    assert has_errors([made]) is (severity is Severity.ERROR)
    assert has_refusals([made]) is (severity is Severity.REFUSAL)


def test_nothing_is_neither_error_nor_refusal():
    assert not has_errors([])
    assert not has_refusals([])


def test_a_diagnostic_as_json_names_every_place():
    made = Diagnostic(Severity.REFUSAL, "kept", "s", "d", Position("a", 1, 2), (Position("b", 3),))
    assert diagnostic_dict(made) == {
        "severity": "refusal",
        "code": "kept",
        "summary": "s",
        "detail": "d",
        "path": "a",
        "line": 1,
        "column": 2,
        "related": [{"path": "b", "line": 3, "column": 0}],
    }
    assert diagnostic_dict(note("c", "s"))["path"] is None

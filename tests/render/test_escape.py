from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.render.escape import item, json_text, line, plain, shortened, workflow, workflow_property

ANY_TEXT = st.text(st.characters(exclude_categories=()))

_DANGEROUS = ("Cc", "Cf", "Cs", "Zl", "Zp")


def test_no_control_format_or_surrogate_character_of_unicode_passes() -> None:
    every = map(chr, range(sys.maxunicode + 1))
    passed = [f"{ord(c):04x}" for c in every if unicodedata.category(c) in _DANGEROUS and c in plain(c)]
    assert passed == []


@given(ANY_TEXT)
def test_arbitrary_text_cannot_act_on_a_terminal_or_be_unencodable(text: str) -> None:
    safe = plain(text)
    assert not [c for c in safe if unicodedata.category(c) in _DANGEROUS]
    safe.encode()


@given(ANY_TEXT)
def test_arbitrary_text_is_never_a_command_to_a_ci_runner(text: str) -> None:
    for hostile in (text, f" ::{text}", f"::{text}::", f"##[{text}]"):
        safe = line(hostile)
        assert not safe.lstrip().startswith("::")
        assert "##[" not in safe


@given(ANY_TEXT)
def test_neutralising_twice_changes_nothing_more(text: str) -> None:
    assert line(line(text)) == line(text)
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize(
    "text", ["", "doc-000017#chunk-00", "é à ü", "日本語", "😀" * 16, "a::b", "C:\\x1b", "#[x]", "a b"]
)
def test_what_is_readable_stays_as_it_is(text: str) -> None:
    assert plain(text) == text
    assert line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("a\u202eb", "a\\u202eb"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b1m\x7f", "\\x9b1m\\x7f"),
        ("👨\u200d👩", "👨\\u200d👩"),
        ("\U000e0041", "\\U000e0041"),
        ("\udc80", "\\udc80"),
        ("\u3164\ufe0f", "\\u3164\\ufe0f"),
        ("x##[error]y", "x#\\x23[error]y"),
    ],
)
def test_what_is_invisible_or_acts_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_workflow_message_cannot_end_or_begin_a_command() -> None:
    assert workflow("100 %\n::error::x") == "100 %25\\n::error::x"
    assert workflow_property("a,line=1::x%\r") == "a%2Cline=1%3A%3Ax%25\\r"


@given(ANY_TEXT)
def test_a_workflow_property_cannot_leave_its_place(text: str) -> None:
    assert not set(workflow_property(text)) & set(":,\r\n")


@given(ANY_TEXT)
def test_json_is_printable_ascii_and_exact(text: str) -> None:
    for hostile in (text, f"\x7f##[{text}]"):
        written = json_text({"id": hostile})
        assert written.isascii()
        assert written.isprintable()
        assert "##[" not in written
        assert json.loads(written) == {"id": hostile}


def test_json_never_holds_a_number_that_json_does_not_know() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text(float("nan"))


@given(ANY_TEXT | st.text(" a", max_size=6))
def test_text_alone_on_a_line_neither_begins_nor_ends_with_a_space_that_nobody_sees(text: str) -> None:
    shown = item(text)
    assert shown == shown.strip(" ")
    assert shown.replace("\\x20", " ") == plain(text).replace("\\x20", " ")


@given(ANY_TEXT, st.integers(3, 40))
def test_long_text_is_cut_in_the_middle_and_its_length_is_told(text: str, most: int) -> None:
    shown = shortened(text, most)
    if shown != plain(text):
        assert f" … (of {len(text):,} characters) … " in shown
        assert len(shown) <= most + len(f" … (of {len(text):,} characters) … ")
        assert plain(text).startswith(shown.split(" … (of ")[0])
    assert shortened(text, None) == plain(text)
    assert len(plain(text)) > most or shown == plain(text)

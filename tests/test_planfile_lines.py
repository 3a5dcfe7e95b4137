"""Reading a plan line by line: nothing but what parsing the whole text gives, or an admission that it cannot say."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import planfile
from reconciler.errors import PlanFileError
from reconciler.model.idset import IdSet
from reconciler.planfile.decoding import decode_lines
from support.planfiles import encoded, plans, sample

BEGIN = b'          "ids": [\n'
END = b"          ]\n"


def lines_of(data: bytes) -> list[bytes]:
    return list(io.BytesIO(data))


def whole(data: bytes) -> Any:
    try:
        return planfile.decode(data, path="p.json")
    except PlanFileError as error:
        return str(error), error.hint


def check(data: bytes) -> bool:
    """True when it was read line by line."""
    expected, streamed = whole(data), decode_lines(lines_of(data))
    if streamed is None:
        return False
    assert streamed == expected
    return True


@settings(max_examples=150, deadline=None)
@given(plans())
def test_a_plan_that_was_encoded_is_read_line_by_line(plan):
    assert check(encoded(plan))


junk = st.sampled_from(
    [
        BEGIN,
        END,
        b"          ],\n",
        b'            "x",\n',
        b'            "x"\n',
        b"            7,\n",
        b'            ["x"],\n',
        b'            [["x", 0]]\n',
        b'          "ids": [["x", 0]]\n',
        b'          "ids": [],\n',
        b'            "\\ud800",\n',
        b'            "\\ud83d\\ude00",\n',
        b'            "",\n',
        b'            "' + b"a" * 65 + b'",\n',
        b'            "\xed\xa0\x80",\n',
        b'            "\xff",\n',
        b"            ,\n",
        b"\n",
        b" \n",
        b"{\n",
        b"}\n",
        b"]\n",
        b"\0\n",
        b'            "a"], ["b"\n',
        b'      "more": {\n',
        b"NaN,\n",
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    lines = lines_of(encoded(draw(plans())))
    for _ in range(draw(st.integers(1, 4))):
        place, other = (draw(st.integers(0, max(0, len(lines) - 1))) for _ in range(2))
        match draw(st.sampled_from(["swap", "double", "remove", "insert", "crlf", "cut", "byte", "replace"])):
            case "swap" if lines:
                lines[place], lines[other] = lines[other], lines[place]
            case "double" if lines:
                lines.insert(other, lines[place])
            case "remove" if lines:
                del lines[place]
            case "insert":
                lines.insert(place, draw(junk))
            case "replace" if lines:
                lines[place] = draw(junk)
            case "crlf" if lines:
                lines[place] = lines[place].replace(b"\n", b"\r\n")
            case "cut" if lines:
                lines[place] = lines[place].removesuffix(b"\n")
            case "byte" if lines and lines[place]:
                at = draw(st.integers(0, len(lines[place]) - 1))
                lines[place] = lines[place][:at] + draw(st.binary(max_size=2)) + lines[place][at + 1 :]
        lines = lines_of(b"".join(lines))
    return b"".join(lines)


@settings(max_examples=600, deadline=None)
@given(mutated())
def test_no_edited_plan_is_read_otherwise_line_by_line_than_whole(data):
    check(data)


def with_ids(*items: bytes, trailing: bytes = b"") -> bytes:
    """The sample with these lines as its first list of ids."""
    head, _, rest = encoded(sample()).partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + b",\n".join(items) + trailing + (b"\n" if items else b"") + END + tail


THREE = [b'"a"', b'"b"', b'"c"']

CASES = {
    "as it should be": (with_ids(*THREE), True),
    "a number": (with_ids(b'"a"', b"2", b'"c"'), False),
    "a boolean": (with_ids(b'"a"', b"true", b'"c"'), False),
    "null": (with_ids(b'"a"', b"null", b'"c"'), False),
    "a list in it": (with_ids(b'"a"', b'["b"]', b'"c"'), False),
    "an id twice": (with_ids(b'"a"', b'"b"', b'"b"'), False),
    "an id twice, and sums that know it": (
        with_ids(b'"a"', b'"b"', b'"b"').replace(b'"delete": 3', b'"delete": 2'),
        False,
    ),
    "an id twice, written otherwise": (with_ids(b'"a"', b'"b"', b'"\\u0062"'), False),
    "half a pair": (with_ids(b'"a"', b'"b"', b'"\\ud800"'), False),
    "an empty id": (with_ids(b'"a"', b'"b"', b'""'), False),
    "65 bytes": (with_ids(b'"a"', b'"b"', b'"' + b"c" * 65 + b'"'), False),
    "64 bytes": (with_ids(b'"a"', b'"b"', b'"' + b"c" * 64 + b'"'), True),
    "22 letters of three bytes": (with_ids(b'"a"', b'"b"', b'"' + b"\\u20ac" * 22 + b'"'), False),
    "the shape of the mark": (with_ids(b'["x", 0]'), False),
    "the shape of an empty mark": (with_ids(b'["", 0]'), False),
    "a comma behind": (with_ids(*THREE, trailing=b","), False),
    "CRLF": (encoded(sample()).replace(b"\n", b"\r\n"), False),
    "no line end behind": (encoded(sample()).rstrip(b"\n"), True),
    "a byte order mark": (b"\xef\xbb\xbf" + encoded(sample()), False),
    "UTF-16": (encoded(sample()).decode().encode("utf-16"), False),
    "nothing": (b"", False),
    "a list that never ends": (encoded(sample()).partition(END)[0], False),
}


@pytest.mark.parametrize("what", CASES)
def test_a_list_of_anything_but_ids_is_left_to_who_parses_the_whole_text(what):
    data, streamed = CASES[what]
    assert check(data) is streamed or (streamed is False and isinstance(whole(data), planfile.SavedPlan))


def many(count: int, insert: bytes = b"", behind: bytes = b"") -> bytes:
    """A plan with `count` ids, with something after the 4,096th, and after the last."""
    ids = [f"{number:05}" for number in range(count)]
    plan = sample()
    index = plan.indexes[0]
    action = replace(index.actions[0], ids=IdSet.of(ids))
    summary = index.summary._replace(delete=count, release=0)
    index = replace(index, actions=(action,), summary=summary)
    data = encoded(replace(plan, indexes=(index,), summary=summary))
    lines = lines_of(data)
    at = lines.index(BEGIN) + 1 + 4096
    lines.insert(min(at, lines.index(END)), insert)
    end = lines.index(END)
    lines[end - 1] = lines[end - 1].rstrip(b"\n") + behind + b"\n" if behind else lines[end - 1]
    return b"".join(lines)


@pytest.mark.parametrize("count", [4095, 4096, 4097, 8192, 8193])
def test_long_lists_are_read_in_portions(count):
    assert check(many(count))


@pytest.mark.parametrize("count", [4095, 4096, 4097, 8192])
@pytest.mark.parametrize("insert", [b"", b"  \n", b",\n", b"  ,\n"])
@pytest.mark.parametrize("behind", [b"", b","])
def test_a_comma_with_nothing_beside_it_is_refused_wherever_a_portion_ends(count, insert, behind):
    data = many(count, insert, behind)
    check(data)
    if b"," in insert or behind:
        assert decode_lines(lines_of(data)) is None


def test_a_list_of_commas_as_long_as_a_portion_is_refused():
    lines = lines_of(many(4097))
    begin = lines.index(BEGIN) + 1
    blank = [*[b"\n"] * 4095, b",\n"]
    assert decode_lines([*lines[:begin], *blank, *lines[begin:]]) is None


def test_ids_that_stand_elsewhere_are_nobodys():
    text = encoded(sample())
    listed = BEGIN + b'            "evil"\n' + END
    places = {
        "an unknown object": text.replace(
            b'  "fingerprint"', b'  "more": {\n' + listed + b'  },\n  "fingerprint"', 1
        ),
        "an index": text.replace(b'      "account_id"', listed.rstrip(b"\n") + b',\n      "account_id"', 1),
        "the document": text.replace(b'  "fingerprint"', listed.rstrip(b"\n") + b',\n  "fingerprint"', 1),
        "twice": text.replace(BEGIN, listed.rstrip(b"\n") + b",\n" + BEGIN, 1),
    }
    for what, data in places.items():
        assert data != text, what
        check(data)
        found = whole(data)
        assert not isinstance(found, planfile.SavedPlan) or "evil" not in {
            id_ for _, action in found.plan.actions() for id_ in action.ids
        }, what
    assert decode_lines(lines_of(places["twice"])) is None


@settings(max_examples=100, deadline=None)
@given(data=mutated() | plans().map(encoded))
def test_a_file_is_read_as_its_bytes_are_decoded_error_and_digest_included(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "read.json"
    path.write_bytes(data)
    expected = whole(data)
    if isinstance(expected, planfile.SavedPlan):
        found = planfile.read(path)
        assert found == expected
        assert found.sha256 == hashlib.sha256(data).hexdigest()
        return
    with pytest.raises(PlanFileError) as caught:
        planfile.read(path)
    assert str(caught.value) == expected[0].replace("p.json", str(path), 1)
    assert caught.value.hint == expected[1]

from __future__ import annotations

import hashlib
import json
import random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import StateDamaged, StateTooNew
from reconciler.state import events as ev
from reconciler.state import frames
from reconciler.state.frames import GENESIS, parse, seal

AT = "2026-11-22T12:00:00.000Z"

TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=64)
IDS = st.lists(TEXT, min_size=1, max_size=8, unique=True)


def _line(document: object) -> bytes:
    """A line with a correct hash around any document that ends in a brace."""
    text = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    body = text[:-1]
    return body + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def _document(**changes: object) -> dict[str, object]:
    frame: dict[str, object] = {"v": 1, "pos": 1, "prev": GENESIS, "nonce": "n", "at": AT, "run": ""}
    return {**frame, "events": [{"kind": "lease_renewed"}], **changes}


def test_the_line_is_the_one_of_the_design():
    frame = seal(42, "a" * 64, "n0", AT, "r1", [ev.Accepted(7, "m-1")])
    body = (
        b'{"v":1,"pos":42,"prev":"' + b"a" * 64 + b'","nonce":"n0","at":"2026-11-22T12:00:00.000Z","run":"r1",'
        b'"events":[{"kind":"accepted","batch":7,"mutation_id":"m-1"}]'
    )
    assert frame.line == body + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'
    assert parse(frame.line) == frame


@pytest.mark.fault(28)
@given(IDS)
def test_any_ids_come_back_as_they_were(ids):
    frame = seal(2, "b" * 64, "n", AT, "r", [ev.Intent(1, 1, [[[1], len(ids)]], ids)])
    assert frame.line.count(b"\n") == 1
    (intent,) = parse(frame.line).events
    assert isinstance(intent, ev.Intent)
    assert list(intent.ids) == ids


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    "id_",
    [
        "no",
        "012",
        "line\nbreak",
        'quote"back\\slash',
        "\u2028",
        "\x00\x1b[31m",
        "é",
        "e\u0301",
        "😀" * 16,
        "\x7f",
        " x ",
    ],
)
def test_awkward_ids_are_written_unescaped_or_escaped_but_never_changed(id_):
    frame = seal(2, "b" * 64, "n", AT, "r", [ev.Intent(1, 1, [[[1], 1]], [id_])])
    assert parse(frame.line).events[0].ids == [id_]
    if id_ in ("é", "😀" * 16):
        assert id_.encode() in frame.line


@pytest.mark.fault(28)
def test_half_a_surrogate_pair_in_an_id_cannot_be_written():
    with pytest.raises(ValueError, match="surrogates"):
        seal(2, "b" * 64, "n", AT, "r", [ev.Intent(1, 1, [[[1], 1]], ["\ud800"])])


def test_half_a_surrogate_pair_in_the_services_words_does_not_cost_the_outcome():
    frame = seal(2, "b" * 64, "n", AT, "r", [ev.Failed(1, 1, "unknown", final=True, message="bad \ud800 text")])
    assert parse(frame.line).events[0].message == "bad ? text"


def test_numbers_that_are_not_finite_cannot_be_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        seal(2, "b" * 64, "n", AT, "r", [ev.RunStarted("apply", "loopback", lease=float("nan"))])


@pytest.mark.parametrize("number", [1e16, 1e-7, 0.1, 2**63, 2**64, -(2**64), 10**40])
@pytest.mark.parametrize("within", [lambda n: n, lambda n: [n, 1], lambda n: {"in": (n, "x")}])
def test_numbers_are_written_as_json_writes_them(number, within):
    frame = seal(2, "b" * 64, "n", AT, "r", [ev.Unknown({"kind": "later", "value": within(number)})])
    assert json.dumps(number).encode() in frame.line
    assert parse(frame.line) == frame


class Text(str):
    __slots__ = ("rest",)


class Number(int):
    pass


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from([Text("t"), Number(7), b"bytes", object(), "\ud800", {1, 2}]),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(st.characters()) | st.sampled_from([1, "1", None, True, 1.5]), inner)
    ),
)
EVENTS = (
    st.builds(ev.Intent, VALUES, VALUES, VALUES, VALUES)
    | st.builds(ev.Intent, st.integers(1), st.integers(1), st.just((((1,), 1),)), IDS | IDS.map(tuple))
    | st.builds(ev.Accepted, VALUES, VALUES, VALUES)
    | st.builds(ev.RunFinished, VALUES, VALUES)
    | st.builds(ev.Declared, VALUES, VALUES, VALUES, VALUES, VALUES, VALUES, limits=VALUES, held=VALUES)
    | st.builds(
        ev.Declared, *map(st.just, (1, 1, "m", 1, 1, "r")), limits=st.dictionaries(st.text(), VALUES), held=VALUES
    )
    | st.builds(ev.Unknown, st.dictionaries(st.text(), VALUES))
    | st.deferred(lambda: st.sampled_from(EXAMPLES))
    | st.builds(
        lambda kind, more: ev.Unknown({"kind": kind, **more}),
        st.sampled_from(sorted(ev.KINDS)),
        st.dictionaries(st.deferred(lambda: st.sampled_from(FIELDS)), VALUES),
    )
    | st.builds(ev.Verified, st.integers(1), TEXT, ids=IDS.map(tuple), declarations=VALUES, requests=VALUES)
)


@given(st.lists(EVENTS, max_size=3), VALUES | st.just("n"), VALUES | st.just(AT), st.text())
def test_a_frame_is_what_any_reader_makes_of_its_line_down_to_the_types_or_is_refused(events, nonce, at, run):
    try:
        frame = seal(2, "b" * 64, nonce, at, run, events)
    except ValueError:
        return
    read = parse(frame.line)
    assert read == frame
    assert repr(read) == repr(frame)  # 1, True and 1.0 are equal, lists and tuples are not the same


def test_a_frame_shares_nothing_that_its_writer_may_still_change():
    limits, ids = {"max_deletes": 1, "inner": [1]}, ["a", "b"]
    declared = ev.Declared(1, 1, "m", 1, 1, "r", limits=limits)
    frame = seal(2, "b" * 64, "n", AT, "r", [declared, ev.Intent(1, 1, [[[1], 2]], ids)])
    limits["inner"].append(2)
    ids.append("c")
    assert frame == parse(frame.line)


@pytest.mark.parametrize("depth", [25, 1000, 100_000])
def test_what_is_nested_too_deeply_to_be_read_is_not_written(depth):
    deep: object = "x"
    for _ in range(depth):
        deep = [deep]
    event = ev.RunFinished("done", {}, 0)
    assert parse(seal(2, "b" * 64, "n", AT, "r", [event]).line).events == (event,)
    unknown = ev.Unknown({"kind": "later", "deep": deep})
    if depth == 25:
        assert parse(seal(2, "b" * 64, "n", AT, "r", [unknown]).line).events == (unknown,)
    else:
        with pytest.raises(ValueError, match="not what a line can hold"):
            seal(2, "b" * 64, "n", AT, "r", [unknown])


#: What a JSON parser forgives, or takes for something else; and what only looks like it, inside a text.
PIECES = [
    b" ", b"\t", b"\r", b"\n", b"\\u0041", b"\\u001f", b"\\u001F", b"\\/", b"\\n", b"\\", b"-", b"-0", b"0", b"00", b".0",
    b"e1", b"1E400", b"NaN", b"-Infinity", b"null", b"true", b'"', b",", b":", b"[", b"]", b"{", b"}", b'","', b'":', b'"a":1,',
    b'"ids":["', b'"],"ids":["b"],', b'"ids":[],', b'"ids":["a"],', b'{"ids":["a","b"]}', b'"v":2,', b'"v":-0,', b"\xff", b"\x00",
    b"\xc3\xa9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x7f", b'"batch":1', b'"batch":-0', b'"batch":1.0',
]  # fmt: skip


def _outcome(line):
    try:
        return parse(line)
    except (StateDamaged, StateTooNew) as error:
        return type(error), error.message, error.hint


def _in_general(line):
    """As a line is read that may be written in several ways: by rendering it again."""
    with patch.object(frames, "_read_plain", lambda _: None):
        return _outcome(line)


@given(
    st.lists(EVENTS, min_size=1, max_size=3),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(PIECES)), max_size=3),
)
def test_a_plain_line_is_read_and_refused_as_one_that_is_rendered_again(events, changes):
    try:
        body = bytearray(seal(2, "b" * 64, "n", AT, "r", events).line[:-76])
    except ValueError:
        return
    for where, left_out, piece in changes:
        at = int(where * len(body))
        body[at : at + left_out] = piece
    line = _line(bytes(body) + b"}")
    assert repr(_outcome(line)) == repr(_in_general(line))


def test_every_small_change_of_a_line_is_refused_as_by_rendering_it_again():
    choice = random.Random(7)
    ids = ["a", "b,c", "d]", 'e","f', '"ids":["', "\u00e9", "g h"]
    for taken in (ids[:3], ids):
        events = [ev.Accepted(1, "m-1"), ev.Intent(2, 1, [[[1], len(taken)]], taken)]
        body = seal(2, "b" * 64, "n", AT, "r", events).line[:-76]
        for at in range(len(body)):
            for left_out in (0, 1):
                changed = body[:at] + choice.choice(PIECES) + body[at + left_out :]
                line = _line(changed + b"}")
                assert repr(_outcome(line)) == repr(_in_general(line)), line


@pytest.mark.parametrize(
    "event",
    [
        ev.Intent(1, 1, [[[1], 2]], ["doc-1", "\u00fc/[2]"]),
        ev.Accepted(1, "m"),
        ev.Processed(1, [[1, 2]], "m"),
        ev.Verified(1, "list", [[1, 2]], ["x"]),
        ev.Failed(1, 1, "unknown", final=False, code=40041, status=400, message="later: \u00fc"),
    ],
)
def test_what_most_of_a_log_consists_of_is_read_and_rendered_by_the_faster_library(event, monkeypatch):
    line = seal(2, "b" * 64, "n", AT, "r", [event]).line
    monkeypatch.setattr(frames, "_encode", None)
    assert parse(line).events[0] == event


@given(st.text(), st.text(), st.integers(), st.lists(st.text(min_size=1), min_size=1))
def test_a_plain_line_is_rendered_as_seal_renders_it(text, mutation_id, number, ids):
    events = [ev.Accepted(number, mutation_id), ev.Reappeared(number, ids, how=text)]
    line = seal(2, "b" * 64, "n", AT, text, events).line
    plain = frames._read_plain(line)
    assert (plain is None) == (b"\\" in line)
    assert parse(line).events == tuple(events)


@pytest.mark.parametrize(
    "fraction",
    [
        "300.0",
        "300",
        "1e16",
        "1e+16",
        "1E16",
        "1e-05",
        "1e-5",
        "0.10",
        "12345678901234567890.0",
        "-0",
        "-0.0",
        "9007199254740993",
    ],
)
@pytest.mark.parametrize("where", ['"lease":%s', '"limits":{"x":%s}', '"counts":{"x":%s}', '"later":[%s]'])
def test_a_fraction_is_read_only_as_seal_writes_it(fraction, where):
    rest = (
        {"kind": "run_started", "command": "apply", "origin": "o"}
        if "lease" in where
        else {"kind": "run_finished"}
    )
    if "limits" in where:
        rest = ev.encode(ev.Declared(1, 1, "m", 1, 1, ""))
    if "counts" in where:
        rest["outcome"] = "done"
    if "later" in where:
        rest = {"kind": "lease_renewed"}
    event = json.dumps(rest, separators=(",", ":"))[:-1] + "," + where % fraction + "}"
    rendered = json.dumps(json.loads(fraction))
    line = _line(json.dumps(_document(events=["X"]), separators=(",", ":")).replace('"X"', event).encode())
    if rendered != fraction or ("counts" in where and not isinstance(json.loads(fraction), int)):
        with pytest.raises(StateDamaged):
            parse(line)
    else:
        assert parse(line).line == line


GOOD = seal(1, GENESIS, "n", AT, "", [ev.Header("l" * 32)]).line


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\n", id="an empty line"),
        pytest.param(GOOD[:-1], id="no line end"),
        pytest.param(GOOD[:-1] + b"\r\n", id="CRLF"),
        pytest.param(b"\xef\xbb\xbf" + GOOD, id="a byte order mark"),
        pytest.param(b" " + GOOD, id="a space before"),
        pytest.param(GOOD[:-1] + b" \n", id="a space after"),
        pytest.param(GOOD + GOOD, id="two lines"),
        pytest.param(_line(json.dumps(_document(), separators=(", ", ":")).encode()), id="spaces inside"),
        pytest.param(
            _line(b'{"v":1,' + json.dumps(_document(), separators=(",", ":")).encode()[1:]), id="repeated member"
        ),
        pytest.param(_line(dict(reversed(_document().items()))), id="another order"),
        pytest.param(_line({**_document(), "events": [{"kind": "x", "y": float("nan")}]}), id="NaN"),
        pytest.param(_line(_document(pos="1")), id="position is text"),
        pytest.param(_line(_document(pos=True)), id="position is a boolean"),
        pytest.param(_line(_document(pos=1.0)), id="position is a fraction"),
        pytest.param(_line(_document(pos=0)), id="position 0"),
        pytest.param(_line(_document(v=True)), id="version is a boolean"),
        pytest.param(_line(_document(v=0)), id="version 0"),
        pytest.param(_line(_document(prev="x")), id="prev is no hash"),
        pytest.param(_line(_document(nonce="")), id="no nonce"),
        pytest.param(_line(_document(at="yesterday")), id="no time"),
        pytest.param(_line(_document(run=None)), id="run is null"),
        pytest.param(_line(_document(events=[])), id="no events"),
        pytest.param(_line(_document(events=[1])), id="an event that is no object"),
        pytest.param(_line(_document(events=[{}])), id="an event without kind"),
        pytest.param(_line(_document(events=[{"kind": "accepted"}])), id="an event without its fields"),
        pytest.param(
            _line(_document(events=[{"kind": "accepted", "batch": "1", "mutation_id": "m"}])),
            id="a field of another type",
        ),
        pytest.param(
            _line(_document(events=[{"kind": "reappeared", "target": 1, "ids": [""]}])), id="an empty id"
        ),
        pytest.param(_line(b'{"v":1,"events":["\\ud800"]}'), id="half a surrogate pair"),
        pytest.param(_line(b'{"v":1,"x":"\xff"}'), id="not UTF-8"),
        pytest.param(_line(b"[1,2]"), id="not an object"),
        pytest.param(_line(b'{"v":' + b"[" * 100_000 + b"}"), id="nested beyond any use"),
        pytest.param(_line(b'{"v":' + b"1" * 5000 + b"}"), id="a number too long"),
    ],
)
def test_what_is_not_exactly_a_frame_is_damage(line):
    with pytest.raises(StateDamaged):
        parse(line)


@pytest.mark.fault(29)
def test_a_later_format_says_so():
    with pytest.raises(StateTooNew, match="format 2"):
        parse(_line(_document(v=2)))


def test_a_flipped_version_is_damage_and_not_a_later_format():
    with pytest.raises(StateDamaged):
        parse(GOOD.replace(b'{"v":1', b'{"v":3', 1))


@pytest.mark.fault(29)
def test_members_and_fields_of_later_versions_are_ignored():
    frame = parse(_line({**_document(events=[{"kind": "lease_renewed", "mood": "fine"}]), "colour": "red"}))
    assert frame.events == (ev.LeaseRenewed(),)


@pytest.mark.fault(29)
def test_an_unknown_kind_is_kept_as_it_stands():
    document = {"kind": "blessed", "by": [1, {"x": None}]}
    frame = parse(_line(_document(events=[document])))
    assert frame.events == (ev.Unknown(document),)
    assert ev.encode(frame.events[0]) == document


def test_the_schema_knows_every_kind(validator):
    assert set(ev.KINDS) <= set(validator.schema["$defs"])


EXAMPLES: list[ev.Event] = [
    ev.Header("l" * 32),
    ev.TargetSeen(1, "loopback", "a", "i", "2026"),
    ev.Declared(
        1,
        1,
        "m.yaml",
        3,
        0,
        "r",
        "2027-01-01",
        [{"path": "x", "kind": "csv", "column": "id", "count": 3, "digest": "a" * 64}],
        [{"text": "p/"}],
        {"max_deletes": 3},
        {"count": 3, "digest": "a" * 64},
        {"batches": [[1, 2]], "except_ids": ["x"], "ids": ["y"], "declarations": [1]},
    ),
    ev.RunStarted("apply", "loopback", "me", "here", "boot", 7, "https://ci", "sha256:0", 300.0, "0.1", "1:2"),
    ev.Intent(1, 1, [[[1], 1]], ["x"], 2),
    ev.Accepted(1, "m", 2),
    ev.Failed(1, 1, "unknown", final=False, code=40041, status=400, message="later"),
    ev.Processed(1, [[1, 2]], "m", 3),
    ev.Verified(1, "list", [[1, 2]], ["x"], ["y"], [[[1], 1]], 3),
    ev.Reappeared(1, ["x"], [[[1], 1]], "list", 3),
    ev.Released(1, "lapsed", [[1, 2]], ["x"], ["y"]),
    ev.LeaseRenewed(3),
    ev.LimitsIgnored("me", "because"),
    ev.RunFinished("done", {"verified": 3}, 1),
    ev.RunFenced("r", "me", "dead"),
    ev.Recovered("x.torn", 3, "a" * 64),
    ev.Moved("s3://bucket/prefix"),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_every_event_comes_back_and_fits_the_schema(event, validator):
    line = seal(1, GENESIS, "n", AT, "r", [event]).line
    validator.validate(json.loads(line))
    assert ev.encode(parse(line).events[0]) == ev.encode(event)


def test_a_frame_without_what_a_declaration_names_is_read_as_before():
    line = seal(1, GENESIS, "n", AT, "r", [ev.Declared(1, 1, "m.yaml", 3, 0, "r")]).line
    assert b"names" not in line
    assert b"held" not in line
    assert parse(line).events == (ev.Declared(1, 1, "m.yaml", 3, 0, "r"),)


@pytest.mark.parametrize(
    "more",
    [
        {"names": {"count": 3}},
        {"names": {"count": -1, "digest": "a"}},
        {"names": {"count": True, "digest": "a"}},
        {"names": {"count": 1, "digest": 2}},
        {"names": [1]},
        {"held": []},
        {"held": {"batches": [[2, 1]]}},
        {"held": {"ids": [""]}},
        {"held": {"except_ids": "x"}},
        {"held": {"declarations": ["1"]}},
    ],
)
def test_what_a_declaration_names_must_have_its_shape(more):
    event = ev.encode(ev.Declared(1, 1, "m", 1, 1, ""))
    assert parse(_line(_document(events=[event])))
    with pytest.raises(StateDamaged):
        parse(_line(_document(events=[event | more])))


_SOURCE = {"path": "m", "kind": "ids", "column": "", "count": 1, "digest": "a"}


@pytest.mark.parametrize(
    "more",
    [
        {"until": "soon"},
        {"sources": [{}]},
        {"sources": ["m"]},
        *({"sources": [{k: v for k, v in _SOURCE.items() if k != left_out}]} for left_out in _SOURCE),
        {"sources": [_SOURCE | {"count": "many"}]},
        {"sources": [_SOURCE | {"count": -1}]},
        {"sources": [_SOURCE | {"digest": None}]},
        {"prefixes": [{"text": 1}]},
        {"prefixes": [{"text": "p", "count": []}]},
        {"prefixes": [{"text": "p", "keeps": [1]}]},
        {"prefixes": [{"text": "p", "keeps": {"prefixes": 1}}]},
        {"prefixes": [{"text": "p", "keeps": {"ids": [[]]}}]},
    ],
)
def test_where_a_declaration_has_its_ids_from_must_have_its_shape(more):
    event = ev.encode(ev.Declared(1, 1, "m", 1, 1, ""))
    assert parse(_line(_document(events=[event | {"until": "2027-01-01", "sources": [_SOURCE]}])))
    with pytest.raises(StateDamaged):
        parse(_line(_document(events=[event | more])))


@pytest.mark.parametrize("lease", [300, 300.0, 2**53 + 1, 2**64, 10**400, 0.5])
def test_a_lease_is_read_as_it_is_written(lease):
    frame = seal(2, "b" * 64, "n", AT, "r", [ev.RunStarted("apply", "loopback", lease=lease)])
    (read,) = parse(frame.line).events
    assert repr(read.lease) == repr(lease)


FIELDS = sorted({name for cls in ev.KINDS.values() for name in cls.__struct_fields__})


def test_there_is_an_example_of_every_event():
    assert {event.kind for event in EXAMPLES} == set(ev.KINDS)

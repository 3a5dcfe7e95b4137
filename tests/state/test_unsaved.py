"""The file of unsaved outcomes: what is kept there is read back exactly; anything else is refused, never half read."""

from __future__ import annotations

import json
import stat

import pytest

from reconciler.errors import StateError, UsageError
from reconciler.state import events as ev
from reconciler.state.journal import create
from reconciler.state.stores.file import FileStore
from reconciler.state.unsaved import OUTCOMES, Unsaved, outcomes, read, save

LINEAGE, RUN, HEAD = "f" * 32, "a" * 32, "3:" + "0" * 64
AT = "2026-11-22T12:00:00.000Z"
EVENTS = [
    ev.Accepted(1, "0f3c-m-1"),
    ev.Accepted(2, "\ud800 half of a pair, \x00, \n, \u2028, 😀"),
    ev.Failed(3, 2, "rejected", final=True, code=40026, status=400, message="no\r\n::error::\x1b[31m"),
    ev.Failed(4, 0, "unknown", final=False),
    ev.Processed(1, [[1, 2]], "0f3c-m-1", 7),
    ev.Verified(1, "get_by_ids", [[1, 2]], ["kept\n"], ["é", "e\u0301"], [[[1], 2]], 3),
    ev.Reappeared(1, ["\x7f", "no", "012"], [[[1, 2], 3]], "list", 1),
]


def _save(folder, events, **changes):
    said = {"lineage": LINEAGE, "run": RUN, "head": HEAD, "at": AT, **changes}
    return save(folder, events=events, **said)


def test_what_was_kept_is_read_back_exactly_and_in_order(tmp_path):
    path = _save(tmp_path, EVENTS[:3])
    assert _save(tmp_path, EVENTS[3:], run="b" * 32) == path
    found = read(path)
    assert [row.event for row in found] == EVENTS
    assert [row.run for row in found] == [RUN] * 3 + ["b" * 32] * 4
    assert {(row.lineage, row.head) for row in found} == {(LINEAGE, HEAD)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().isascii()


def test_every_kind_of_outcome_is_kept_and_nothing_else():
    others = [ev.Intent(1, 1, [[[1], 1]], ["a"]), ev.LeaseRenewed(), ev.RunFinished("done"), ev.Moved("memory:")]
    assert outcomes([*others, *EVENTS]) == tuple(EVENTS)
    assert {type(event) for event in EVENTS} == set(OUTCOMES)


def test_a_line_that_was_never_finished_counts_as_not_written(tmp_path):
    path = _save(tmp_path, EVENTS)
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == 0x0A]
    for size in range(ends[0], len(whole)):
        path.write_bytes(whole[:size])
        assert len(read(path)) == sum(end <= size for end in ends)


def test_an_empty_file_holds_no_outcome(tmp_path):
    path = tmp_path / "unsaved.jsonl"
    path.touch()
    assert read(path) == []


def test_a_whole_log_is_named_for_what_it_is(path, clock):
    create(FileStore(path), clock)
    with pytest.raises(UsageError, match="a whole log") as refused:
        read(path)
    assert "state migrate" in refused.value.hint


@pytest.mark.parametrize("make", ["missing", "directory", "no line end"])
def test_what_is_no_file_of_lines_is_a_usage_error_that_names_it(tmp_path, make):
    path = tmp_path / "unsaved.jsonl"
    if make == "directory":
        path.mkdir()
    elif make == "no line end":
        path.write_text("version: 1")
    with pytest.raises(UsageError, match=r"unsaved\.jsonl"):
        read(path)


def _row(**changes):
    document = {"lineage": LINEAGE, "run": RUN, "head": HEAD, "at": AT, "event": ev.encode(EVENTS[0]), **changes}
    return json.dumps({name: value for name, value in document.items() if value is not ...}).encode()


HOSTILE = {
    "not JSON": b"hello",
    "a blank line": b"",
    "NUL bytes": b"\x00" * 40,
    "not UTF-8": b'{"lineage": "\xff"}',
    "a number": b"7",
    "a list": b"[]",
    "null": b"null",
    "a number that no interpreter reads": b'{"head": ' + b"9" * 5000 + b"}",
    "not a number": _row(event={"kind": "accepted", "batch": float("nan"), "mutation_id": "m"}),
    "infinity": _row(event={"kind": "accepted", "batch": 1e999, "mutation_id": "m"}),
    "nested without end": b"[" * 100_000,
    "no lineage": _row(lineage=...),
    "no head": _row(head=...),
    "no event": _row(event=...),
    "a lineage that is a number": _row(lineage=7),
    "a run that is a list": _row(run=[RUN]),
    "an event that is text": _row(event="accepted"),
    "an event that is a list": _row(event=[]),
    "an event without a kind": _row(event={"batch": 1, "mutation_id": "m"}),
    "a batch that is text": _row(event={"kind": "accepted", "batch": "1", "mutation_id": "m"}),
    "a batch that is true": _row(event={"kind": "accepted", "batch": True, "mutation_id": "m"}),
    "a mutation id that is null": _row(event={"kind": "accepted", "batch": 1, "mutation_id": None}),
    "an event that no run learns": _row(event={"kind": "intent", "batch": 1, "target": 1, "declarations": [], "ids": []}),
    "a takeover": _row(event={"kind": "run_fenced", "fenced": "r", "by": "me", "reason": "mine"}),
    "an event of a later version": _row(event={"kind": "blessed"}),
    "a frame of the log without its prev": b'{"v":1,"pos":1,"events":[]}',
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_one_strange_line_refuses_the_file_and_says_which_one_it_is(tmp_path, what):
    path = tmp_path / "unsaved.jsonl"
    path.write_bytes(_row() + b"\n" + HOSTILE[what] + b"\n" + _row() + b"\n")
    with pytest.raises(StateError, match=r"unsaved\.jsonl:2: this is not an unsaved outcome") as refused:
        read(path)
    assert refused.value.message.isprintable()
    assert "keep the file" in refused.value.hint


def test_fields_that_a_later_version_adds_are_ignored(tmp_path):
    path = tmp_path / "unsaved.jsonl"
    event = {"kind": "accepted", "batch": 1, "mutation_id": "m", "colour": "red"}
    path.write_bytes(_row(event=event, more=[1]) + b"\n")
    assert read(path) == [Unsaved(LINEAGE, RUN, HEAD, ev.Accepted(1, "m"))]

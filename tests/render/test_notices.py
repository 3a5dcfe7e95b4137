from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Callable

import jsonschema
import pytest

from reconciler.clock import ManualClock
from reconciler.model.diagnostic import Position, error
from reconciler.model.notices import (
    BatchFailed,
    BatchSubmitted,
    Notice,
    Problem,
    ProcessedIds,
    Progress,
    ReadFailed,
    ReappearedIds,
    RunBegan,
    VerifiedIds,
    Waiting,
)
from reconciler.model.target import Target
from reconciler.render import notices as render
from reconciler.resources import schema

TARGET = Target("loopback", "023e105f4ecef8ad9ca31a8372d0c353", "articles")
FAILED = BatchFailed(TARGET, 2, 100, 1, "unknown", False, "timed out\n::error::x", None, None, 0.5)
SENDING = Progress("sending", 100, 2350, 1, 24, 1, 1199, 12.0)
SETTLING = Progress("settling", 50, 2350, 24, 24, 30, None, None)
EVERY: tuple[Notice, ...] = (
    Waiting("run 7 of \x1b[31mmallory", 3.0),
    RunBegan("run-1", took_over="run-0"),
    SENDING,
    BatchSubmitted(TARGET, 1, 100, "8e2f1c53", 1),
    FAILED,
    SETTLING,
    ProcessedIds(TARGET, 24, "8e2f1c53"),
    ReadFailed(TARGET, 1, "no answer: \x1b[31mcut", None, 503, 0.5),
    VerifiedIds(TARGET, 2350, "get_by_ids"),
    ReappearedIds(TARGET, 21, tuple(f"id\u202e{n}" for n in range(20))),
    Problem(error("state", "broken\nin two", "Do this.", Position("m.yaml", 3))),
)


class Broken(io.StringIO):
    """A stream whose reader went away."""

    def __init__(self, problem: Exception | None) -> None:
        super().__init__()
        self.problem = problem
        self.tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        if self.problem is None:
            return super().write(text)
        raise self.problem

    def isatty(self) -> bool:
        return True


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


PROBLEMS = (BrokenPipeError(errno.EPIPE, "gone"), OSError(errno.ENOSPC, "full"), ValueError("closed"))


def test_plain_lines(golden: Callable[[str, str], None]) -> None:
    stream = io.StringIO()
    sink = render.PlainLines(stream)
    for each in EVERY:
        sink(each)
    golden("notices.txt", stream.getvalue())


def test_json_lines(golden: Callable[[str, str], None]) -> None:
    stream = io.StringIO()
    sink = render.JsonLines(stream, ManualClock())
    for each in EVERY:
        sink(each)
    golden("notices.jsonl", stream.getvalue())


def test_every_event_fits_the_published_schema() -> None:
    stream, clock = io.StringIO(), ManualClock()
    render.write_event(stream, clock, "version", "reconciler 0.1.0", {"version": "0.1.0"})
    render.write_event(
        stream, clock, "plan", "the plan", {"fingerprint": "sha256:" + "0" * 64, "summary": {"delete": 1}}
    )
    counts = dict.fromkeys(("verified", "pending", "reappeared", "requests", "exit_code"), 0)
    render.write_event(stream, clock, "summary", "done", {**counts, "head": "1:ab"})
    sink = render.JsonLines(stream, clock)
    for each in EVERY:
        sink(each)
    events = [json.loads(each) for each in stream.getvalue().splitlines()]
    assert len(events) == 3 + len(EVERY)
    validator = jsonschema.Draft202012Validator(schema("events"))
    for event in events:
        validator.validate(event)
        assert list(event)[:3] == ["type", "at", "message"]
    assert validator.is_valid({**events[0], "type": "of_a_later_version"})
    assert not validator.is_valid({**events[0], "type": "batch_submitted"})


def test_the_message_of_an_event_is_harmless_and_its_fields_are_exact() -> None:
    stream = io.StringIO()
    render.JsonLines(stream, ManualClock())(EVERY[-2])
    event = json.loads(stream.getvalue())
    assert "\\u202e" in event["message"]
    assert event["examples"][0] == "id\u202e0"


def test_a_field_cannot_replace_the_type_or_the_time_of_an_event() -> None:
    stream = io.StringIO()
    render.write_event(
        stream, ManualClock(), "summary", "done", {"type": "version", "at": "never", "message": "x"}
    )
    event = json.loads(stream.getvalue())
    assert event == {"type": "summary", "at": "2026-11-22T12:00:00.000Z", "message": "done"}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_reader_that_went_away_does_not_end_the_run(problem: Exception) -> None:
    broken = Broken(problem)
    render.write_event(broken, ManualClock(), "version", "", {})
    for sink in (render.JsonLines(broken, ManualClock()), render.PlainLines(broken)):
        tries = broken.tries
        sink(FAILED)
        sink(FAILED)
        assert broken.tries == tries + 1


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_terminal_that_went_away_does_not_end_the_run(
    problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stdout = sys.stdout
    with render.Live(Broken(problem)) as live:
        for each in EVERY:
            live(each)
    assert sys.stdout is stdout


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_terminal_that_goes_away_in_the_middle_does_not_end_the_run(
    problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Broken(None)
    with render.Live(stream) as live:
        live(SENDING)
        assert "100/2,350 ids" in stream.getvalue()
        stream.problem = problem
        live(FAILED)
        before = stream.tries
        live(FAILED)
        assert stream.tries == before


def test_no_stream_at_all_is_no_problem() -> None:
    render.PlainLines(None)(FAILED)


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_live_display_shows_failures_above_it_and_leaves_the_terminal_clean(
    monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    with render.Live(stream) as live:
        for each in EVERY:
            live(each)
    shown = stream.getvalue()
    assert "failed: timed out\\n::error::x" in shown
    assert "\\u202e" in shown
    assert "\u202e" not in shown
    if term == "xterm":
        assert "100/2,350 ids" in shown
        assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is there again
    live(FAILED)
    assert stream.getvalue() == shown


def test_a_log_is_neither_silent_for_long_nor_flooded() -> None:
    stream, clock = io.StringIO(), ManualClock()
    sink = render.PlainLines(stream, clock)
    for done in range(0, 2400, 50):  # one notice every half second
        sink(Progress("sending", min(done, 2350), 2350, 0, 24, 1, None, None))
        clock.advance(0.5)
    lines = stream.getvalue().splitlines()
    assert [line.split(" of")[0] for line in lines] == ["900", "1,800", "2,350"]

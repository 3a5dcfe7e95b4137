"""What a run said, read again: outputs, lines, Markdown, the one issue."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.cli.app import run
from reconciler.clock import ManualClock
from reconciler.errors import ForgeError, UsageError
from reconciler.forge import issue as issues
from reconciler.forge.github import GitHub
from reconciler.forge.outcome import Outcome, annotated, markdown, outputs, read_events, text
from reconciler.forge.posting import put_issue
from support.forge import BOT, REPOSITORY

AT = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
HOSTILE = "a|b`c@everyone <b> ##[x] \x1b[1m\u202e"


def lines(*events: dict[str, Any]) -> list[str]:
    return [json.dumps(each) for each in events]


def found(id_: str, **more: Any) -> dict[str, Any]:
    declared = [{"path": "m.yaml", "line": 4, "reason": "PRIV-1"}]
    base = {"account_id": "0" * 32, "index": "docs", "id": id_, "proven_at": "2026-11-20T00:00:00Z"}
    return {**base, "declared": declared, **more}


def verified(count: int, **more: Any) -> Outcome:
    names = [found(f"doc-{n}") for n in range(min(count, 3))]
    summary = {"type": "summary", "reappeared": count, "exit_code": 4 if count else 0, "found": names, **more}
    return read_events(lines(summary))


def test_outputs_are_counts_and_a_fingerprint_and_never_more_than_a_line_each():
    plan = {"type": "plan", "fingerprint": "sha256:" + "1" * 64}
    summary = {"type": "summary", "accepted": 5, "released": 0, "reappeared": 1, "message": "x\ny=z"}
    assert outputs(read_events(lines(plan, summary))) == [
        "changes=true", "deletes=5", "reappeared=1", f"fingerprint={plan['fingerprint']}",
    ]  # fmt: skip
    hostile = {"type": "plan", "fingerprint": "sha256:\nplan-path=/etc/passwd"}
    assert outputs(read_events(lines(hostile))) == ["changes=false", "deletes=0", "reappeared=0"]


def test_what_is_not_known_is_passed_over_and_what_is_no_event_is_an_error():
    assert read_events(["", *lines({"type": "later"})]) == Outcome()
    for bad in ("{", "[]", "1", "[" * 100_000):
        with pytest.raises(UsageError, match="line 2 is not an event"):
            read_events(["", bad])


def test_what_went_wrong_comes_first_and_does_nothing_to_who_reads_it():
    error = {"type": "diagnostic", "severity": "error", "summary": HOSTILE}
    outcome = read_events(lines(error, {"type": "summary", "message": "done", "head": "3:abc"}))
    told = text(outcome)
    assert told[0].startswith("Error: a|b`c@everyone")
    assert told[1:] == ["done", "State head: 3:abc"]
    for rendered in ("\n".join(told), "\n".join(markdown(outcome)), "\n".join(annotated(outcome))):
        assert not set(rendered) & set("\x1b\u202e")
        assert "##[" not in rendered
    assert markdown(outcome)[2].startswith("- ``Error: ")
    assert annotated(outcome)[0].startswith("::error title=vectorize-reconciler::a|b")


def test_a_run_that_was_cut_short_is_not_called_done():
    assert text(read_events(lines({"type": "version"}))) == ["The run did not come to its end."]


def test_log_shows_messages_and_keeps_the_events_byte_for_byte(tmp_path, monkeypatch, capsys):
    events = '{"type": "x", "message": "one"}\nnot json\n{"type": "y", "message": "::error::\\u001b[1m"}\n'
    monkeypatch.setattr(sys, "stdin", io.StringIO(events))
    assert run(["forge", "log", "--keep", str(tmp_path / "e.jsonl")]) == 0
    assert (tmp_path / "e.jsonl").read_text() == events
    assert capsys.readouterr().out == "one\n\\x3a:error::\\x1b[1m\n"


# The issue.


@pytest.fixture
def github(forge: Any) -> Any:
    with GitHub(forge.url, forge.token, REPOSITORY, clock=ManualClock()) as client:
        yield client


def put(github: GitHub, outcome: Outcome, name: str = "") -> str:
    return put_issue(
        github, outcome, name=name, author=BOT, at=AT, run_url="https://github.com/a/b/actions/runs/1"
    )


def test_the_issue_says_how_many_which_since_when_and_what_to_do():
    body = issues.body(verified(1_204), name="eu", at="2026-11-27T03:00:00Z", run_url="https://github.com/r")
    assert body.splitlines()[0] == "<!-- vectorize-reconciler reappeared eu -->"
    assert "found **1,204** ids" in body
    row = f"| `{'0' * 32}/docs` | `doc-0` | `2026-11-20T00:00:00Z` | `m.yaml:4 PRIV-1` |"
    assert row in body
    assert "… and 1,201 more" in body
    assert "check-ids" in body
    assert "[this run](https://github.com/r)" in body


def test_an_id_that_was_never_proven_or_is_declared_nowhere_says_so_and_hostile_ones_stay_in_their_cell():
    summary = {"type": "summary", "reappeared": 1, "found": [found(HOSTILE, proven_at=None, declared=[])]}
    body = issues.body(read_events(lines(summary)), name="", at="t", run_url="")
    (row,) = [line for line in body.splitlines() if "everyone" in line]
    assert row.count("|") == 5
    assert row.endswith("| never | nowhere any more |")
    assert not set(row) & set("\x1b\u202e")


def test_nothing_back_and_nothing_open_asks_for_no_issue(forge, github):
    assert put(github, verified(0)) == "no issue is open, and none is needed"
    assert forge.issues == []


def test_the_issue_is_found_among_hundreds_and_somebody_elses_is_not_touched(forge, github):
    for number in range(150):
        forge.issues.append(
            {"number": number + 1, "state": "open", "user": {"login": BOT}, "title": "t", "body": ""}
        )
    forge.issues.append({
        "number": 900, "state": "open", "user": {"login": "mallory"}, "title": "t", "body": issues.marker(""),
    })  # fmt: skip
    assert put(github, verified(2)).startswith("opened issue #")
    assert put(github, verified(2)).startswith("updated issue #")
    assert len(forge.issues) == 152
    assert forge.comments == [], "nobody is told again what has not changed"
    assert put(github, verified(3)).startswith("updated issue #")
    assert len(forge.comments) == 1


def test_several_states_have_an_issue_each(forge, github):
    put(github, verified(1), name="eu")
    put(github, verified(1), name="us")
    put(github, verified(1), name="eu")
    assert len(forge.issues) == 2


@pytest.mark.parametrize("left", [{"pending": 3}, {"unresolved": 1}, {"exit_code": 1}, {"exit_code": 7}])
def test_the_issue_stays_open_when_not_everything_could_be_read(forge, github, left):
    put(github, verified(1))
    assert "stays open" in put(github, verified(0, **left))
    assert forge.issues[0]["state"] == "open"


def test_an_answer_that_was_lost_never_opens_two_issues(forge, github):
    forge.fault("POST", "issues$", status=502, obeyed=True)
    assert put(github, verified(1)).startswith("updated")
    assert len(forge.issues) == 1


def test_issues_that_are_switched_off_are_an_error_that_says_so(forge, github):
    forge.fault("GET", "issues$", status=410, body=b'{"message": "Issues has been disabled in this repository."}')
    with pytest.raises(ForgeError, match="Issues has been disabled"):
        put(github, verified(1))

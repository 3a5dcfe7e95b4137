"""The one note of a merge request: found by marker and author, updated, never doubled, harmless."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.app import run
from reconciler.clock import ManualClock
from reconciler.errors import ForgeError
from reconciler.forge.comment import Comment, Status, parse
from reconciler.forge.gitlab import GitLab
from reconciler.forge.note import LONGEST, indented, planned, put_note, state_of
from reconciler.render.escape import plain
from support import hostile
from support.gitlab import BOT, PROJECT, FakeGitLab
from support.hosts import RENDERERS, acts, rendered

HEAD, MERGED = "a" * 40, "c" * 40
FIRST, SECOND = "sha256:" + "5" * 64, "sha256:" + "6" * 64


def markdown(fingerprint: str = FIRST) -> str:
    return f"<!-- vectorize-reconciler plan fingerprint={fingerprint} -->\n\n### Plan: 2 to delete\n\n| a | b |\n"


@pytest.fixture
def server() -> Iterator[FakeGitLab]:
    with FakeGitLab() as running:
        running.open_merge_request(7, HEAD)
        yield running


@pytest.fixture
def gitlab(server: FakeGitLab) -> Any:
    with GitLab(server.url, server.token, PROJECT, clock=ManualClock()) as client:
        yield client


def plan(before: Comment) -> Comment:
    return planned(before, markdown(), after_merge=False)


def put(gitlab: GitLab, change: Callable[[Comment], Comment] = plan, name: str = "") -> str:
    return put_note(gitlab, 7, name, BOT, change)


# On GitLab.


def test_the_first_creates_the_note_and_the_next_updates_it(server, gitlab):
    assert put(gitlab) == "created"
    assert put(gitlab) == "updated"
    assert len(server.notes) == 1
    assert server.notes[0]["body"].startswith(markdown().splitlines()[0])
    assert server.notes[0]["body"].endswith("### Plan: 2 to delete\n\n| a | b |\n")


def test_it_is_found_on_the_third_page_among_the_notes_of_others(server, gitlab):
    for number in range(205):
        server.say(7, "alice", f"{number}")
    put(gitlab)
    for number in range(205):
        server.say(7, "alice", f"{number}")
    assert put(gitlab) == "updated"
    assert sum(each["author"]["username"] == BOT for each in server.notes) == 1


def test_the_same_marker_of_somebody_else_is_never_touched_and_neither_is_our_note_without_it(server, gitlab):
    theirs = plan(Comment()).text()
    server.say(7, "mallory", theirs)
    server.say(7, BOT.upper(), theirs)
    server.say(7, BOT, "coverage: 80 %")
    server.say(7, BOT, theirs, system=True)
    before = [each["body"] for each in server.notes]
    assert put(gitlab) == "created"
    assert put(gitlab) == "updated"
    assert [each["body"] for each in server.notes[:-1]] == before
    assert {r.path.rsplit("/", 1)[1] for r in server.requests if r.method == "PUT"} == {
        str(server.notes[-1]["id"])
    }


def test_several_configurations_of_one_merge_request_have_a_note_each(server, gitlab):
    put(gitlab, name="eu")
    put(gitlab, name="us")
    assert put(gitlab, name="eu") == "updated"
    assert len(server.notes) == 2


@pytest.mark.parametrize("fault", [{"status": 502, "obeyed": True}, {"cut": True, "obeyed": True}])
def test_an_answer_that_was_lost_never_leaves_two_notes(server, gitlab, fault):
    server.fault("POST", "notes", **fault)
    assert put(gitlab) == "updated"
    assert len(server.notes) == 1


def test_a_request_that_was_lost_is_made_again_but_not_for_ever(server, gitlab):
    server.fault("POST", "notes", status=502)
    assert put(gitlab) == "created"
    server.notes.clear()
    for _ in range(3):
        server.fault("POST", "notes", status=502)
    with pytest.raises(ForgeError, match="GitLab failed"):
        put(gitlab)


def test_notes_of_another_shape_are_passed_over(server, gitlab):
    server.notes += [
        {"id": 1, "noteable_iid": 7, "author": None, "body": None, "system": False},
        {"id": 2, "noteable_iid": 7, "author": {"username": BOT}, "body": None, "system": False},
    ]
    assert put(gitlab) == "created"


# As text.


def test_as_much_as_gitlab_takes_fits_and_one_character_more_is_refused_before_it_is_sent(server, gitlab):
    def of(size: int) -> Callable[[Comment], Comment]:
        return lambda before: planned(before, markdown() + "é" * size, after_merge=False)

    rest = LONGEST - len(of(0)(Comment()).text())
    put(gitlab, of(rest - 1))  # a line end joins
    assert len(server.notes[0]["body"]) == LONGEST
    with pytest.raises(ForgeError, match="GitLab takes 1,000,000") as long:
        put(gitlab, of(rest))
    assert "--max-bytes" in long.value.hint


def test_after_the_merge_another_plan_is_said_to_be_another_and_the_same_is_not():
    before = plan(Comment())
    same = planned(before, markdown(), after_merge=True)
    other = planned(before, markdown(SECOND), after_merge=True)
    assert "Planned again" not in same.text()
    assert f"not the plan that stood here before** (`{FIRST}`)" in other.text()
    assert other.marker == markdown(SECOND).splitlines()[0]
    assert parse(other.text()) == other
    assert "Planned again" not in planned(before, markdown(SECOND), after_merge=False).text()
    assert "Planned again" not in planned(Comment(), markdown(SECOND), after_merge=True).text()


@pytest.mark.parametrize(
    "text", [*hostile.STRINGS, "/close", "```\n/close\n```", ">>>\nx\n>>>", "::include{file=x}"]
)
def test_no_line_of_a_note_begins_like_a_command_to_gitlab(text):
    status = Status("failed", "2026-11-27T03:00:00Z", "https://gitlab.com/a/-/jobs/1", indented(text))
    lines = replace(plan(Comment()), status=status).text().splitlines()
    assert not [each for each in lines if each.startswith(("/", ">>>", "::", "---", "["))]
    assert [each for each in lines if each.startswith("```")] == [lines[fence(lines)], lines[fence(lines)][:-4]]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_nothing_that_strangers_wrote_acts_in_a_note(renderer):
    for text in ("\n".join(hostile.STRINGS), *hostile.STRINGS):
        status = Status("failed", "2026-11-27T03:00:00Z", "https://gitlab.com/a/-/jobs/1", indented(text))
        other = planned(plan(Comment()), markdown(SECOND), after_merge=True)
        page = rendered(replace(other, status=status).text(), renderer)
        assert acts(page) == []
        assert [attributes["href"] for name, attributes in page.elements if name == "a"] == [status.url]
        assert len(page.comments) == 3
        shown = "".join(page.code)
        assert not [each for each in text.splitlines() if f"  {plain(each)}\n" not in shown]


def fence(lines: list[str]) -> int:
    return next(number for number, each in enumerate(lines) if each.startswith("```"))


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (0, "applied"), (1, "failed"), (2, "failed"), (3, "refused"), (4, "reappeared"), (5, "locked"),
        (6, "not-applied"), (7, "not-settled"), (130, "interrupted"), (137, "failed"),
    ],
)  # fmt: skip
def test_every_end_of_an_apply_is_a_status(code, state):
    assert state_of(code) == state


# From the command line.


@pytest.fixture
def job(server: FakeGitLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What GitLab's runner sets in a pipeline of merge request 7, and a plan's Markdown in p.md."""
    for name, value in {
        "RECONCILER_GITLAB_TOKEN": server.token, "CI_API_V4_URL": server.url, "CI_PROJECT_ID": str(PROJECT),
        "CI_MERGE_REQUEST_IID": "7", "CI_COMMIT_SHA": HEAD, "CI_JOB_URL": "https://gitlab.com/acme/e/-/jobs/9",
        "CI_JOB_TOKEN": "64_job-token",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.md").write_text(markdown())
    return tmp_path


def test_the_plan_and_then_what_became_of_it_stand_in_one_note(server, job, capsys):
    (job / "said.txt").write_text("Error: the manifests have changed\n/close\n")
    assert run(["forge", "note", "--markdown", "p.md"]) == 0
    assert run(["forge", "note", "--exit-code", "6", "--detail", "said.txt"]) == 0
    assert capsys.readouterr().out == "The note on !7 was created.\nThe note on !7 was updated.\n"
    (note,) = server.notes
    assert "**Not applied: the plan has changed**" in note["body"]
    assert "in [this run](https://gitlab.com/acme/e/-/jobs/9)" in note["body"]
    assert "\n  Error: the manifests have changed\n  /close\n" in note["body"]
    assert note["body"].endswith("| a | b |\n")


def test_the_plan_comes_from_stdin_too(server, job, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(markdown().encode() + b"\xff\n")))
    assert run(["forge", "note", "--markdown", "-"]) == 0
    assert server.notes[0]["body"].endswith("\\xff\n")


def test_a_job_of_an_older_commit_does_not_write_over_the_plan_of_a_newer_one(server, job, capsys):
    server.merge_requests[7]["sha"] = "b" * 40
    assert run(["forge", "note", "--markdown", "p.md"]) == 0
    assert capsys.readouterr().out == "No note was written: !7 has newer commits, whose pipeline writes it.\n"
    assert server.notes == []


def test_where_the_result_of_the_merge_is_what_runs_the_commit_that_people_see_counts(server, job, monkeypatch):
    monkeypatch.setenv("CI_COMMIT_SHA", "e" * 40)
    monkeypatch.setenv("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", HEAD)
    assert run(["forge", "note", "--markdown", "p.md"]) == 0
    assert len(server.notes) == 1


def test_a_merge_request_from_a_fork_has_its_note_where_it_is_and_not_in_the_fork(server, job, monkeypatch):
    monkeypatch.setenv("CI_PROJECT_ID", "99")
    monkeypatch.setenv("CI_MERGE_REQUEST_PROJECT_ID", str(PROJECT))
    assert run(["forge", "note", "--markdown", "p.md"]) == 0
    assert len(server.notes) == 1


@pytest.fixture
def pushed(server: FakeGitLab, job: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline of the default branch after a merge."""
    monkeypatch.delenv("CI_MERGE_REQUEST_IID")
    monkeypatch.setenv("CI_COMMIT_SHA", MERGED)
    monkeypatch.setenv("CI_COMMIT_BRANCH", "main")
    return job


@pytest.mark.parametrize("how", ["merge_commit_sha", "squash_commit_sha", "sha"])
def test_after_the_merge_the_note_is_that_of_the_merge_request_that_made_the_commit(server, pushed, how):
    server.open_merge_request(8, "d" * 40)
    server.merge(8, "d" * 40)
    server.commits[MERGED] = [8]  # it has the commit in its branch, as well
    server.merge(7, MERGED, how=how)
    server.say(7, BOT, plan(Comment()).text())
    (pushed / "p.md").write_text(markdown(SECOND))
    assert run(["forge", "note", "--markdown", "p.md", "--exit-code", "0"]) == 0
    (note,) = server.notes
    assert "**Applied**" in note["body"]
    assert "it is not the plan that stood here before" in note["body"]


@pytest.mark.parametrize("change", [{"state": "opened"}, {"target_branch": "release"}, {"iid": None}, {"gone": 1}])
def test_a_commit_that_no_merge_request_made_gets_no_note_and_is_no_error(server, pushed, capsys, change):
    server.merge(7, MERGED)
    server.merge_requests[7] |= change
    if "gone" in change:
        server.commits.clear()
    assert run(["forge", "note", "--exit-code", "0"]) == 0
    assert capsys.readouterr().out == f"No note was written: no single merge request made {MERGED[:12]}.\n"
    assert server.notes == []


def test_two_merge_requests_with_one_commit_get_none(server, pushed, capsys):
    server.open_merge_request(8, "d" * 40)
    server.merge(7, MERGED)
    server.merge(8, MERGED)
    assert run(["forge", "note", "--exit-code", "0"]) == 0
    assert "no single merge request" in capsys.readouterr().out


def test_one_can_be_named_and_then_nothing_is_looked_up(server, pushed):
    assert run(["forge", "note", "--markdown", "p.md", "--merge-request", "7", "--author", BOT]) == 0
    assert [request.path.rsplit("/", 1)[1] for request in server.requests] == ["notes", "notes"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to say"),
        (["--status", "applied", "--exit-code", "0"], "exclude each other"),
        (["--status", "applied", "--name", "a b"], "at most 64 letters"),
        (["--status", "applied", "--detail", "none"], "cannot be read"),
        (["--markdown", "none"], "cannot be read"),
        (["--markdown", "said.txt"], "not that of a plan"),
        (["--exit-code", "256"], "0<=x<=255"),
    ],
)
def test_a_slip_is_told_before_anything_is_asked_of_gitlab(arguments, words, server, job, capsys):
    (job / "said.txt").write_text("# hello\n")
    assert run(["forge", "note", *arguments]) == 1
    assert words in capsys.readouterr().err
    assert server.requests == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RECONCILER_GITLAB_TOKEN", "", "CI_JOB_TOKEN may not write notes"),
        ("RECONCILER_GITLAB_TOKEN", "a b\n", "cannot be sent in a header"),
        ("CI_PROJECT_ID", "../x", "CI_PROJECT_ID do not say where"),
        ("CI_API_V4_URL", "", "GitLab's runner sets them"),
        ("CI_API_V4_URL", "http://gitlab.example/api/v4", "in the clear"),
        ("CI_API_V4_URL", "https://u:glpat-x@gitlab.example/api/v4", "a user name or a password"),
        ("CI_MERGE_REQUEST_IID", "7/../8", "not for a merge request"),
    ],
)
def test_surroundings_that_are_not_a_runners_are_named(name, value, words, server, job, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    assert run(["forge", "note", "--status", "applied"]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "a b" not in said
    assert "glpat" not in said
    assert server.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500])
def test_the_token_is_in_no_output_even_if_gitlab_says_it(server, job, capsys, status):
    body = f'{{"message": "token {server.token} is \\u001b[31mbad\\n::error::x"}}'.encode()
    server.fault("GET", "user", status=status, body=body)
    if status == 500:
        for _ in range(5):
            server.fault("GET", "user", status=400, body=body)
    assert run(["forge", "note", "--status", "applied"]) == 1
    said = capsys.readouterr()
    assert server.token not in said.out + said.err
    assert "[redacted]" in said.err
    assert "\x1b" not in said.err
    assert "\n::" not in said.err

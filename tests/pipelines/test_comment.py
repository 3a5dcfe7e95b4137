"""The one comment: found by marker and author, updated, never doubled, harmless whatever stands in it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.app import run
from reconciler.cli.noting import STATES as CHOICES
from reconciler.clock import ManualClock
from reconciler.errors import ForgeError, PlanStale
from reconciler.forge.approval import Approval, approved_plan
from reconciler.forge.comment import LONGEST, STATES, Comment, PlanMade, Status, parse
from reconciler.forge.github import GitHub
from reconciler.forge.posting import find_comment, put_comment, put_plan
from support.forge import BOT, REPOSITORY, Forge, Token

FINGERPRINT = "sha256:" + "5" * 64
MARKER = f"<!-- vectorize-reconciler plan fingerprint={FINGERPRINT} -->"
MARKDOWN = f"{MARKER}\n\n### Plan\n\n| a | b |\n"
MADE = PlanMade("2026-11-27T03:00:00Z", "a" * 40, FINGERPRINT)


@pytest.fixture
def github(forge: Forge) -> Any:
    forge.open_pull_request(7, "a" * 40)
    with GitHub(forge.url, forge.token, REPOSITORY, clock=ManualClock()) as client:
        yield client


def plan(comment: Comment) -> Comment:
    return comment.planned(MARKDOWN).remembering(MADE)


def put(github: GitHub, change: Callable[[Comment], Comment] = plan, name: str = "") -> str:
    return put_comment(github, 7, name, BOT, change)


# As text.


def test_the_plans_marker_stays_the_first_line_and_the_plan_stays_as_it_was_rendered():
    text = plan(Comment()).text()
    assert text.splitlines()[0] == MARKER
    assert text.endswith("\n### Plan\n\n| a | b |\n")


@pytest.mark.parametrize("state", STATES)
def test_what_was_written_is_read_again(state):
    comment = replace(
        plan(Comment(name="eu")), status=Status(state, "2026-11-27T03:00:00Z", "https://github.com/a/b")
    )
    assert parse(comment.text(), "eu") == comment
    assert parse(comment.text().replace("\n", "\r\n"), "eu") == comment, "edited in a browser"
    assert parse(comment.text(), "us") is None


def test_reading_and_writing_again_and_again_changes_nothing():
    text = replace(plan(Comment()), status=Status("applied", "2026-11-27T03:00:00Z", detail="")).text()
    for _ in range(3):
        again = parse(text)
        assert again is not None
        assert again.text() == text


def test_a_new_plan_takes_away_what_became_of_the_old_one():
    comment = replace(plan(Comment()), status=Status("applied", "2026-11-27T03:00:00Z"))
    assert plan(comment).status is None
    assert len(plan(comment).plans) == 2


def test_only_the_latest_plans_are_remembered_so_that_the_record_cannot_outgrow_the_comment():
    comment = Comment()
    for number in range(100):
        comment = comment.planned(MARKDOWN).remembering(replace(MADE, commit=f"{number:040x}"))
    assert [each.commit for each in comment.plans] == [f"{number:040x}" for number in range(80, 100)]
    filled = comment.planned(f"{MARKER}\n{'x' * 50_000}").remembering(MADE)
    detail = "`" * 200 + "y" * 100_000
    assert len(replace(filled, status=Status("failed", MADE.at, "", detail)).text()) < LONGEST


def test_a_comment_that_the_forge_would_refuse_is_refused_here_and_says_how_to_make_it_smaller():
    with pytest.raises(ForgeError, match="GitHub takes 65,536") as long:
        Comment().planned(f"{MARKER}\n{'x' * 66_000}").text()
    assert "--max-bytes" in long.value.hint


def test_markdown_that_is_no_plan_is_refused():
    with pytest.raises(ForgeError, match="not that of a plan"):
        Comment().planned("# hello\n")


@pytest.mark.parametrize(
    "record",
    [
        "{", "[]", "null", '{"plans": 1}', '{"plans": [1, {}, {"at": 1}]}', '{"status": "applied"}',
        '{"status": {"state": "hacked"}}', '{"plans": [{"at": "x", "commit": "../..", "fingerprint": "sha256:1"}]}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_read_counts_as_none(record):
    found = parse(f"{MARKER}\n<!-- vectorize-reconciler record {record} -->\n")
    assert found is not None
    assert (found.plans, found.status) == ((), None)


HOSTILE = [
    "--> <script>alert(1)</script>",
    "```\n# heading @everyone #123",
    "`````` \u202e\x1b[31m",
    "</details><img src=x onerror=alert(1)>",
    "::error::x ##[command]rm",
    "<!-- vectorize-reconciler end of record -->",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_run_said_stands_in_a_block_of_code_and_breaks_out_of_nothing(text):
    shown = replace(plan(Comment()), status=Status("failed", MADE.at, "", text)).text()
    (fence,) = re.findall(r"^(`{3,})text$", shown, re.MULTILINE)
    inside = shown.split(f"{fence}text\n")[1].split(f"\n{fence}\n")[0]
    assert re.search(rf"^ {{0,3}}`{{{len(fence)},}}", inside, re.MULTILINE) is None
    assert not set(inside) & set("\u202e\x1b")
    assert "##[" not in inside
    again = parse(shown)
    assert again is not None
    assert again.plan.endswith("| a | b |")


def test_an_address_that_is_none_is_not_made_a_link():
    for url in ("javascript:alert(1)", "https://x/) [y](https://evil", 'https://x/"onclick='):
        text = replace(plan(Comment()), status=Status("applied", MADE.at, url)).text()
        assert "this run" not in text


def test_the_record_cannot_end_the_html_comment_it_stands_in():
    text = replace(Comment(), name="x").planned(MARKDOWN).remembering(replace(MADE, commit="a" * 40))
    hostile = replace(text, status=Status("applied", "--> <b>", "--><script>")).text()
    line = hostile.splitlines()[1]
    assert line.count("-->") == 1
    assert html.escape(line[5:-3], quote=False) == line[5:-3]


# On the forge.


def test_the_first_creates_the_comment_and_the_next_updates_it(forge, github):
    assert put(github) == "created"
    assert put(github) == "updated"
    assert len(forge.comments) == 1


def test_it_is_found_on_the_third_page_among_the_comments_of_others(forge, github):
    for number in range(205):
        forge.say(7, "alice", f"{number}")
    put(github)
    for number in range(205):
        forge.say(7, "alice", f"{number}")
    assert put(github) == "updated"
    assert sum(each["user"]["login"] == BOT for each in forge.comments) == 1


def test_a_marker_of_somebody_else_is_not_ours_and_neither_is_our_comment_without_the_marker(forge, github):
    forge.say(7, "mallory", plan(Comment()).text())
    forge.say(7, BOT, "coverage: 80 %")
    assert put(github) == "created"
    assert forge.comments[0]["body"] == plan(Comment()).text()
    assert forge.comments[1]["body"] == "coverage: 80 %"


def test_several_configurations_of_one_pull_request_have_a_comment_each(forge, github):
    put(github, name="eu")
    put(github, name="us")
    assert put(github, name="eu") == "updated"
    assert len(forge.comments) == 2


@pytest.mark.parametrize("fault", [{"status": 502, "obeyed": True}, {"cut": True, "obeyed": True}])
def test_an_answer_that_was_lost_never_leaves_two_comments(forge, github, fault):
    forge.fault("POST", "comments", **fault)
    assert put(github) == "updated"
    assert len(forge.comments) == 1


def test_a_request_that_was_lost_is_made_again(forge, github):
    forge.fault("POST", "comments", status=502)
    assert put(github) == "created"
    assert len(forge.comments) == 1


# From the command line.


@pytest.fixture
def surroundings(forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What GitHub's runner sets, for pull request 7, and a saved plan."""
    forge.open_pull_request(7, "a" * 40)
    event = {"pull_request": {"number": 7, "head": {"sha": "b" * 40}}, "repository": {"default_branch": "main"}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    for name, value in {
        "GITHUB_TOKEN": forge.token, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": forge.url,
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"), "GITHUB_SHA": "c" * 40, "GITHUB_RUN_ID": "12",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifests").mkdir()
    account = "023e105f4ecef8ad9ca31a8372d0c353"
    (tmp_path / "manifests" / "m.yaml").write_text(
        f'version: 1\naccount_id: "{account}"\nabsent:\n  - index: docs\n    reason: r\n    ids: [a]\n'
    )
    assert run(["plan", "--out", "p.json", "--format", "gitlab"]) == 0
    return tmp_path


def test_the_command_remembers_the_commit_that_people_see_and_not_the_merge_that_was_checked_out(
    forge, surroundings, capsys
):
    capsys.readouterr()
    assert run(["show", "p.json", "--format", "markdown"]) == 0
    (surroundings / "p.md").write_text(capsys.readouterr().out)
    assert run(["forge", "comment", "--plan", "p.json", "--markdown", "p.md"]) == 0
    assert capsys.readouterr().out == "The comment on #7 was created.\n"
    found = parse(forge.comments[0]["body"])
    assert [each.commit for each in found.plans] == ["b" * 40]
    fingerprint = json.loads((surroundings / "p.json").read_text())["fingerprint"]
    assert [each.fingerprint for each in found.plans] == [fingerprint]


def test_a_plan_of_manifests_that_cannot_be_used_is_shown_and_never_remembered_as_one_to_approve(
    forge, surroundings, capsys
):
    (surroundings / "manifests" / "m.yaml").write_text("version: 2\n")
    capsys.readouterr()
    assert run(["plan", "--out", "p.json", "--format", "markdown"]) == 1
    (surroundings / "p.md").write_text(capsys.readouterr().out)
    assert run(["forge", "comment", "--plan", "p.json", "--markdown", "p.md"]) == 0
    assert parse(forge.comments[0]["body"]).plans == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["comment"], "nothing to say"),
        (["comment", "--plan", "p.json"], "go together"),
        (["comment", "--status", "applied", "--name", "a b"], "at most 64 letters"),
        (["comment", "--status", "applied", "--detail", "none"], "cannot be read"),
        (["approved", "--commit", "main"], "no commit to look for"),
        (["issue", "none.jsonl"], "cannot be read"),
        (["artifact", "none.json"], "no such plan file"),
    ],
)
def test_a_slip_is_told_before_anything_is_asked_of_the_forge(arguments, words, forge, surroundings, capsys):
    assert run(["forge", *arguments]) == 1
    assert words in capsys.readouterr().err
    assert forge.requests == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("GITHUB_TOKEN", "", "no token of the forge"),
        ("GITHUB_TOKEN", "a b\n", "cannot be sent in a header"),
        ("GITHUB_REPOSITORY", "../x", "does not say OWNER/NAME"),
        ("GITHUB_API_URL", "http://example.com", "in the clear"),
        ("GITHUB_EVENT_PATH", "/nonexistent", "GITHUB_EVENT_PATH"),
    ],
)
def test_surroundings_that_are_not_a_runners_are_named(
    name, value, words, forge, surroundings, monkeypatch, capsys
):
    monkeypatch.setenv(name, value)
    assert run(["forge", "comment", "--status", "applied"]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "a b" not in said
    assert forge.requests == []


def test_a_token_that_may_only_read_is_told_which_permission_is_missing(forge, surroundings, capsys):
    forge.tokens[forge.token] = Token(may=frozenset())
    assert run(["forge", "comment", "--status", "applied"]) == 1
    said = capsys.readouterr().err
    assert "does not let this token do that (403)" in said
    assert "`pull-requests: write`" in said
    assert forge.token not in said


def test_the_command_line_knows_every_state():
    assert set(CHOICES) == set(STATES)


# What was planned is remembered once it can be seen.


def remembered(github: GitHub) -> tuple[PlanMade, ...]:
    found = find_comment(github, 7, "", BOT)
    assert found is not None
    return found[1].plans


def shown(comment: Comment) -> Comment:
    return comment.planned(MARKDOWN)


def test_a_plan_is_remembered_from_when_it_stood_there_by_the_forges_clock(forge, github):
    assert put_plan(github, 7, "", BOT, shown, remember=lambda at: replace(MADE, at=at)) == "created"
    first, second = (each for each in forge.requests if each.method in ("POST", "PATCH"))
    assert "sha256" not in first.body["body"].partition("record")[2].partition("-->")[0]
    (made,) = remembered(github)
    assert made.at in second.body["body"]
    forge.approve(7)
    assert made.at < forge.reviews[7][0]["submitted_at"]


def test_what_was_approved_before_the_comment_was_there_is_not_this_plan(forge, github):
    forge.approve(7)  # while the comment is still being written, however long that takes
    put_plan(github, 7, "", BOT, shown, remember=lambda at: replace(MADE, at=at))
    given = Approval(forge.reviews[7][0]["submitted_at"], MADE.commit, "bob")
    with pytest.raises(PlanStale):
        approved_plan(Comment(plans=remembered(github)), given)


def test_a_plan_that_another_has_replaced_by_then_is_not_remembered(forge, github):
    def replaced(at: str) -> PlanMade:
        (comment,) = forge.comments_of(7)
        comment["body"] = comment["body"].replace(FINGERPRINT, "sha256:" + "0" * 64)
        return replace(MADE, at=at)

    put_plan(github, 7, "", BOT, shown, remember=replaced)
    assert remembered(github) == ()

"""A saved plan, and what it does that another does not."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest
from jsonschema import Draft202012Validator

from reconciler import resources


@pytest.fixture
def two(project, cli, seed):
    """base.json: a, b, c. head.json, of a pull request: b, c, d, e."""
    seed(list("abcdef"))
    project.declare(["a", "b", "c"])
    assert cli("plan", "--out", "base.json").code == 0
    project.declare(["b", "c", "d", "e"])
    assert cli("plan", "--out", "head.json").code == 0
    return project


def test_a_pull_request_shows_what_it_introduces_and_counts_what_was_pending_anyway(two, cli):
    ended = cli("show", "head.json", "--against", "base.json")
    assert ended.code == 0
    assert ended.err == ""
    assert (
        "Introduced: 2 to send, 0 to release. Pending anyway: 2 to send, 0 to release. "
        "Only in the other plan: 1 to send, 0 to release."
    ) in ended.out
    assert "manifests/gdpr.yaml was changed" in ended.out


def test_the_json_fits_its_schema_and_names_every_id(two, cli):
    document = cli("show", "head.json", "--against", "base.json", "--format", "json").json
    Draft202012Validator(resources.schema("comparison")).validate(document)
    (index,) = document["indexes"]
    (action,) = index["actions"]
    assert {part: action[part]["ids"] for part in ("introduced", "pending_anyway", "gone")} == {
        "introduced": ["d", "e"],
        "pending_anyway": ["b", "c"],
        "gone": ["a"],
    }
    assert document["summary"]["introduced"]["delete"] == 2
    assert document["same_state"] is True


def test_the_markdown_is_for_a_comment(two, cli):
    out = cli("show", "head.json", "--against", "base.json", "--format", "markdown").out
    assert "| `023e105f4ecef8ad9ca31a8372d0c353/docs` | `-` to delete | 2 | 2 | 1 |" in out
    assert "/docs</code>: 2 to delete, introduced</summary>" in out


def test_the_markdown_of_a_large_comparison_fits_what_was_asked_for_and_counts_what_it_does_not_name(
    project, cli, seed
):
    project.declare(["a"])
    assert cli("plan", "--out", "base.json").code == 0
    project.declare([f"{n:03}-{'x' * 60}" for n in range(400)])
    assert cli("plan", "--out", "head.json").code == 0
    asked = ("show", "head.json", "--against", "base.json", "--format", "markdown")
    whole, cut = (cli(*asked, *more).out for more in (("--verbose",), ("--verbose", "--max-bytes", "8000")))
    assert "399-xxx" in whole
    assert len(cut.encode()) <= 8000 < len(whole.encode())
    assert "400 ids to delete" in cut


def test_a_plan_against_itself_introduces_nothing(two, cli):
    out = cli("show", "head.json", "--against", "head.json").out
    assert "Introduced: 0 to send, 0 to release. Pending anyway: 4 to send" in out


def test_what_was_applied_in_between_is_said_to_be_another_place_of_the_state(two, cli):
    cli("apply", "--auto-approve")
    two.declare(list("bcdef"))
    cli("plan", "--out", "later.json")
    ended = cli("show", "later.json", "--against", "base.json")
    assert "warning: The two plans were made at different places of the state" in ended.out


@pytest.mark.parametrize("which", ["head.json", "base.json"])
def test_a_plan_that_was_altered_is_neither_shown_nor_compared(two, cli, which):
    document = json.loads((two.folder / which).read_text())
    (index,) = document["indexes"]
    index["actions"][0]["ids"] = index["actions"][0]["ids"][1:]
    index["summary"]["delete"] -= 1
    document["summary"]["delete"] -= 1
    (two.folder / which).write_text(json.dumps(document))
    for asked in (("head.json", "--against", "base.json"), (which,), (which, "--format", "markdown")):
        ended = cli("show", *asked)
        assert ended.code == 1
        assert ended.out == ""
        assert "does not agree with its own fingerprint" in ended.err


def test_a_missing_other_plan_is_named(two, cli):
    ended = cli("show", "head.json", "--against", "nothing.json")
    assert ended.code == 1
    assert "nothing.json: there is no such plan file" in ended.err


# When a plan expires


@pytest.mark.parametrize(("length", "hours"), [("30m", 0.5), ("24h", 24), ("7d", 168)])
def test_a_plan_says_when_it_expires_wherever_it_is_shown(project, cli, seed, length, hours):
    seed(["a"])
    project.declare(["a"])
    ended = cli("plan", "--out", "p.json", "--expires", length)
    assert ended.code == 0
    document = json.loads((project.folder / "p.json").read_text())
    Draft202012Validator(resources.schema("plan")).validate(document)
    moment = document["expires_at"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ", moment)
    assert f"Saved the plan to: p.json (expires at {moment})" in ended.err
    assert f"Expires at {moment}" in cli("show", "p.json").err
    assert cli("show", "p.json", "--format", "json").json == document
    made, ends = (datetime.fromisoformat(document[name]) for name in ("created_at", "expires_at"))
    assert (ends - made).total_seconds() == hours * 3600


def test_the_document_that_plan_prints_expires_too(project, cli):
    project.declare(["a"])
    assert "expires_at" in cli("plan", "--expires", "1h", "--format", "json").json
    assert "expires_at" not in cli("plan", "--format", "json").json


@pytest.mark.parametrize("wrong", ["", "24", "h", "0h", "-1h", "1.5h", "1w", "24 h", "367d", "999999d", "٣h"])
def test_a_duration_that_is_none_is_refused(project, cli, wrong):
    project.declare(["a"])
    ended = cli("plan", "--out", "p.json", f"--expires={wrong}")
    assert ended.code == 1
    assert "is not a duration such as 30m, 24h or 7d" in ended.err
    assert project.names == ["manifests"]


def test_a_plan_that_is_not_saved_has_nothing_to_expire(project, cli):
    project.declare(["a"])
    ended = cli("plan", "--expires", "1h")
    assert ended.code == 1
    assert "--out FILE" in ended.err


def test_an_expired_plan_is_refused_with_exit_6_and_says_what_to_do(project, cli, seed, service):
    seed(["a"])
    project.declare(["a"])
    cli("plan", "--out", "p.json", "--expires", "1h")
    document = json.loads((project.folder / "p.json").read_text())
    document["expires_at"] = "2020-01-01T00:00:00Z"
    (project.folder / "p.json").write_text(json.dumps(document))
    for arguments in (
        ("p.json",),
        ("--auto-approve", "--expect", document["fingerprint"], "--approved", "p.json"),
    ):
        ended = cli("apply", *arguments)
        assert ended.code == 6
        assert "Error: the plan expired at 2020-01-01T00:00:00.000Z" in ended.err
        assert "Plan again, and have that approved." in ended.err
    assert service.emulator.record() == []


def test_a_refused_apply_tells_the_differences_in_its_events_too(two, cli):
    ended = cli("apply", "base.json", "--format", "json")
    assert ended.code == 6
    assert "1 id fewer" not in ended.event("diagnostic")["message"]
    assert 'ids more to delete than approved: "d", "e"' in ended.event("diagnostic")["detail"]
    assert 'ids more to delete than approved: "d", "e"' in ended.err

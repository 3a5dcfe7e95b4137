"""`plan` and `show` in every format: what stands on stdout, and what GitHub's files get."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from reconciler.render.plan_markdown import LEAST_BYTES

FINGERPRINT = re.compile("sha256:[0-9a-f]{64}")


@pytest.fixture
def step(project, monkeypatch):
    """A step of GitHub Actions: its files lie beside the project."""
    summary, outputs = project.folder / "summary.md", project.folder / "output.txt"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    summary.write_text("")
    outputs.write_text("before=1")  # whoever wrote it forgot the end of the line
    return summary, outputs


def values(outputs):
    found = re.findall(
        r"^([a-z-]+)<<(ghadelimiter_[0-9a-f-]{36})\n(.*?)\n?\2$", outputs.read_text(), re.MULTILINE | re.DOTALL
    )
    return {name: value for name, _, value in found}


@pytest.mark.parametrize("form", ["text", "json", "markdown", "github", "gitlab"])
def test_a_saved_plan_is_shown_as_it_was_planned(cli, project, form):
    project.declare(["a", "b"])
    planned = cli("plan", "--out", "p", "--format", form)
    assert planned.code == 0
    assert planned.out
    assert cli("show", "p", "--format", form).out == planned.out


def test_markdown_names_the_file_its_digest_and_the_command(cli, project):
    project.declare(["a"])
    written = cli("plan", "--out", "a plan.json", "--format", "markdown").out
    fingerprint = FINGERPRINT.search(written)[0]
    assert written.startswith(f"<!-- vectorize-reconciler plan fingerprint={fingerprint} -->\n")
    assert f"\nreconciler apply 'a plan.json' --expect {fingerprint}\n" in written
    digest = hashlib.sha256((project.folder / "a plan.json").read_bytes()).hexdigest()
    assert f"`a plan.json`, SHA-256 `{digest}`" in written


def test_the_command_in_the_markdown_is_accepted(cli, project, seed):
    project.declare(["a"])
    seed(["a"])
    written = cli("plan", "--out", "p.json", "--format", "markdown").out
    command = re.search(r"^reconciler (apply .*)$", written, re.MULTILINE)[1].split()
    assert cli(*command).code == 0


def test_the_command_for_a_plan_that_was_not_saved_is_accepted(cli, project, seed):
    project.declare(["a"])
    seed(["a"])
    written = cli("plan", "manifests", "--format", "markdown").out
    command = re.search(r"^reconciler (apply .*)$", written, re.MULTILINE)[1].split()
    assert command[:2] == ["apply", "manifests"]
    assert cli(*command, "--auto-approve").code == 0


def test_github_gets_annotations_a_summary_and_outputs(cli, project, step):
    summary, outputs = step
    project.declare(["a", "b"])
    ended = cli("plan", "--out", "p.json", "--format", "github", "--detailed-exitcode")
    assert ended.code == 2
    assert "::warning title=no-state::there is no state yet" in ended.out
    assert ended.out.splitlines()[-1].startswith("Plan: 2 to delete, ")
    assert summary.read_text().startswith("<!-- vectorize-reconciler plan ")
    assert outputs.read_text().startswith("before=1\n")
    assert values(outputs) == {
        "changes": "true",
        "deletes": "2",
        "reappeared": "0",
        "fingerprint": FINGERPRINT.search(summary.read_text())[0],
        "plan-path": "p.json",
        "exit-code": "2",
    }


def test_a_plan_that_was_not_saved_has_no_path(cli, project, step):
    project.declare(["a"])
    assert cli("plan", "--format", "github").code == 0
    assert values(step[1])["plan-path"] == ""


def test_show_tells_github_the_file_that_is_shown(cli, project, step):
    project.declare(["a"])
    cli("plan", "--out", "p.json")
    assert cli("show", "p.json", "--format", "github").code == 0
    assert values(step[1])["plan-path"] == "p.json"


def test_outside_of_a_step_github_gets_annotations_alone(cli, project, monkeypatch):
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    project.declare(["a"])
    assert cli("plan", "--format", "github").code == 0
    assert project.names == ["manifests"]


def test_manifests_that_cannot_be_used_are_told_in_every_format(cli, project, step):
    project.write("manifests/bad.yaml", "version: 1\nabsent: 7\n")
    markdown = cli("plan", "--format", "markdown")
    assert markdown.code == 1
    assert "### No plan" in markdown.out
    assert "`manifests/bad.yaml:2:9`" in markdown.out
    github = cli("plan", "--format", "github")
    assert github.code == 1
    assert github.out.startswith("::error file=manifests/bad.yaml,line=2,col=9,title=")
    assert "### No plan" in step[0].read_text()
    assert (values(step[1])["changes"], values(step[1])["exit-code"]) == ("false", "1")
    gitlab = cli("plan", "--format", "gitlab")
    assert (gitlab.code, gitlab.json) == (1, {"create": 0, "update": 0, "delete": 0})


def test_a_refused_plan_is_an_error_to_github_and_shown_whole(cli, project, step):
    project.write("reconciler.yaml", "version: 1\nlimits: {max_deletes: 1}\n")
    project.declare(["a", "b"])
    ended = cli("plan", "--format", "github")
    assert ended.code == 3
    assert ended.out.startswith("::error title=max-deletes::")
    assert "### Refused plan: 2 to delete" in step[0].read_text()
    assert values(step[1])["exit-code"] == "3"


def test_gitlab_gets_exactly_its_report(cli, project):
    project.declare(["a", "b"])
    assert cli("plan", "--format", "gitlab").out == '{"create": 0, "update": 0, "delete": 2}\n'


def test_the_markdown_stays_below_the_size_asked_for(cli, project):
    project.declare([f"{'x' * 40}-{n:04}" for n in range(900)])
    cli("plan", "--out", "p")
    assert len(cli("show", "p", "--format", "markdown", "--verbose").out.encode()) > 40_000
    assert (
        len(cli("show", "p", "--format", "markdown", "--verbose", "--max-bytes", "32000").out.encode()) <= 32_000
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "markdown", "--max-bytes", "100"], "--max-bytes 100 is too small: no plan fits"),
        (["--format", "markdown", "--max-bytes", "-1"], "--max-bytes -1 is too small: no plan fits"),
        (["--format", "json", "--max-bytes", "32000"], "--max-bytes does not go with --format json"),
        (["--max-bytes", "32000"], "--max-bytes does not go with --format text"),
    ],
)
def test_a_size_that_cannot_be_kept_is_refused_before_anything_is_read(cli, project, arguments, said):
    project.declare(["a"])
    for command in (["plan", "--out", "p"], ["show", "missing"]):
        ended = cli(*command, *arguments)
        assert ended.code == 1
        assert said in ended.err
    assert not (project.folder / "p").exists()


def test_the_summary_of_a_step_stays_below_the_size_that_github_takes(cli, project, step):
    summary, _ = step
    project.declare([f"id-{n:03}" for n in range(90)])
    cli("plan", "--out", "p")
    there = "x" * (1024 * 1024 - LEAST_BYTES - 10) + "\n"
    summary.write_text(there)
    assert cli("show", "p", "--format", "github", "--verbose").code == 0
    assert summary.read_text().startswith(f"{there}\n<!-- vectorize")
    assert summary.stat().st_size <= 1024 * 1024


def test_a_full_summary_is_left_as_it_is_and_that_is_said(cli, project, step):
    summary, outputs = step
    project.declare(["a"])
    there = "x" * (1024 * 1024 - 100)
    summary.write_text(there)
    ended = cli("plan", "--format", "github")
    assert ended.code == 0
    assert "Warning: the summary of this step is full" in ended.err
    assert summary.read_text() == there
    assert values(outputs)["changes"] == "true"


@pytest.mark.parametrize("name", ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"])
def test_a_file_of_the_step_that_cannot_be_written_is_an_error(cli, project, step, monkeypatch, name):
    project.declare(["a"])
    monkeypatch.setenv(name, str(project.folder / "missing" / "file"))
    ended = cli("plan", "--format", "github")
    assert ended.code == 1
    assert f"Error: {name}: " in ended.err


def test_a_path_with_a_line_end_is_one_output(cli, project, step):
    project.declare(["a"])
    cli("plan", "--out", "a\nexit-code=7", "--format", "github")
    assert values(step[1])["plan-path"] == "a\nexit-code=7"
    assert json.loads((project.folder / "a\nexit-code=7").read_text())["summary"]["delete"] == 1


def test_validate_annotates_at_most_ten_of_a_kind(cli, project):
    project.declare(["x" * 65 + str(n) for n in range(40)])
    ended = cli("validate", "--format", "github")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert len(lines) == 10
    assert re.match("::error title=[0-9]+ more errors::not shown here: [0-9]+ id-too-long", lines[9])


def test_markdown_says_until_when_a_saved_plan_can_be_carried_out(cli, project):
    project.declare(["a"])
    written = cli("plan", "--out", "p", "--expires", "24h", "--format", "markdown").out
    expires = json.loads((project.folder / "p").read_text())["expires_at"]
    assert f"To carry out exactly this until {expires}:" in written
    assert cli("show", "p", "--format", "markdown").out == written


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "github"], "--format github does not go with --against"),
        (["--format", "gitlab"], "--format gitlab does not go with --against"),
        (["--format", "markdown", "--max-bytes", "100"], "--max-bytes 100 is too small"),
    ],
)
def test_two_plans_are_compared_in_the_formats_that_can_tell_it(cli, project, arguments, said):
    project.declare(["a"])
    cli("plan", "--out", "p")
    ended = cli("show", "p", "--against", "p", *arguments)
    assert ended.code == 1
    assert said in ended.err


def test_the_page_says_until_when_a_saved_plan_can_be_carried_out(cli, project):
    project.declare(["a"])
    written = cli("plan", "--out", "p", "--expires", "24h", "--format", "html").out
    assert json.loads((project.folder / "p").read_text())["expires_at"] in written
    assert cli("show", "p", "--format", "html").out == written

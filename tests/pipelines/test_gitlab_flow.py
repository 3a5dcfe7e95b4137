"""The pipeline that `init --ci gitlab` writes, its scripts run by a shell: from the plan to what became of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.cli.app import run
from reconciler.emulator import RunningEmulator
from support.gitlab import BOT, PROJECT, FakeGitLab, scripts_of
from support.linters import shellcheck
from support.repository import ACCOUNT, SECRET, manifest

HEAD, MERGED = "a" * 40, "c" * 40
MERGE_REQUEST = {"CI_MERGE_REQUEST_IID": "7", "CI_COMMIT_SHA": HEAD}
DEFAULT_BRANCH = {"CI_COMMIT_SHA": MERGED, "CI_COMMIT_BRANCH": "main"}

Job = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server() -> Iterator[FakeGitLab]:
    with FakeGitLab() as running:
        running.open_merge_request(7, HEAD)
        yield running


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the scaffolded pipeline, a manifest, and a state elsewhere."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert run(["init", "--ci", "gitlab"]) == 0
    (folder / "manifests" / "erasures.yaml").write_text(manifest("doc-001", "doc-002"))
    assert run(["state", "init", "--state", f"file:{tmp_path / 'reconciler.state.jsonl'}"]) == 0
    return folder


@pytest.fixture
def job(project: Path, server: FakeGitLab, service: RunningEmulator, tmp_path: Path) -> Job:
    """Runs the scripts of a job as GitLab's runner does: one after the other, in one shell that stops at an error."""
    room = tmp_path / "room"
    (room / "bin").mkdir(parents=True)
    program = room / "bin" / "reconciler"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from reconciler.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    environment = {
        "PATH": f"{room / 'bin'}:{os.environ['PATH']}", "HOME": str(room), "PYTHONPATH": os.pathsep.join(sys.path),
        "RECONCILER_STATE": f"file:{tmp_path / 'reconciler.state.jsonl'}",
        "CLOUDFLARE_BASE_URL": service.base_url, "CLOUDFLARE_API_TOKEN": SECRET,
        "CI_API_V4_URL": server.url, "CI_PROJECT_ID": str(PROJECT), "RECONCILER_GITLAB_TOKEN": server.token,
        "CI_JOB_URL": "https://gitlab.com/acme/erasures/-/jobs/9",
    }  # fmt: skip

    def start(
        name: str, env: dict[str, str], *, shell: str = "bash", without: str = ""
    ) -> subprocess.CompletedProcess[str]:
        script = scripts_of(project / ".gitlab-ci.yml", room)[name]
        variables = {k: v for k, v in {**environment, **env}.items() if k != without}
        flags = ["-eo", "pipefail"] if shell == "bash" else ["-e"]
        return subprocess.run(
            [shell, *flags, "-c", script], cwd=project, env=variables, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip

    return start


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_from_the_merge_request_to_what_became_of_it_there_is_one_note(shell, job, server, service):
    planned = job("reconciler-plan", MERGE_REQUEST, shell=shell)
    assert (planned.returncode, "The note on !7 was created." in planned.stdout) == (0, True)
    assert "2 to delete" in planned.stdout
    assert "### Plan: 2 to delete" in server.notes[0]["body"]
    server.merge(7, MERGED)
    assert job("reconciler-plan", DEFAULT_BRANCH, shell=shell).returncode == 0
    applied = job("reconciler-apply", DEFAULT_BRANCH, shell=shell)
    assert applied.returncode == 0, applied.stderr
    assert "2 ids accepted" in applied.stdout
    (note,) = server.notes
    assert "**Applied**" in note["body"]
    assert "\n  2 ids accepted, 2 verified absent, 0 pending\n" in note["body"]
    assert "Planned again" not in note["body"]
    assert len(service.emulator.ids(ACCOUNT, "docs")) == 298
    for each in (planned, applied):
        assert server.token not in each.stdout + each.stderr + note["body"]
        assert SECRET not in each.stdout + each.stderr + note["body"]


def test_without_the_token_all_is_as_it_was_and_the_log_says_that_there_is_no_note(job, server, project):
    planned = job("reconciler-plan", MERGE_REQUEST, without="RECONCILER_GITLAB_TOKEN")
    applied = job("reconciler-apply", DEFAULT_BRANCH, without="RECONCILER_GITLAB_TOKEN")
    for each in (planned, applied):
        assert each.returncode == 0
        assert "No note was written on the merge request: RECONCILER_GITLAB_TOKEN is not set." in each.stdout
    assert (project / "reconciler.report.json").read_text() == '{"create": 0, "update": 0, "delete": 2}\n'
    assert server.requests == []


def test_a_plan_that_no_longer_holds_is_not_applied_and_the_note_says_why(job, server, service, project):
    assert job("reconciler-plan", MERGE_REQUEST).returncode == 0
    server.merge(7, MERGED)
    (project / "manifests" / "erasures.yaml").write_text(manifest("doc-001", "doc-002", "doc-003"))
    stale = job("reconciler-apply", DEFAULT_BRANCH)
    assert stale.returncode == 6
    assert "Error: the manifests are not those the plan was made from" in stale.stderr
    (note,) = server.notes
    assert "**Not applied: the plan has changed**" in note["body"]
    assert "\n  Error: the manifests are not those the plan was made from\n" in note["body"]
    assert len(service.emulator.ids(ACCOUNT, "docs")) == 300


def test_a_refused_plan_fails_the_job_and_is_shown(job, server, project):
    (project / "reconciler.yaml").write_text("version: 1\nlimits: {max_deletes: 1}\n")
    refused = job("reconciler-plan", MERGE_REQUEST)
    assert refused.returncode == 3
    assert "### Refused plan: 2 to delete" in server.notes[0]["body"]
    assert not (project / "reconciler.report.json").exists()


def test_manifests_that_cannot_be_used_fail_the_job_and_are_shown(job, server, project):
    (project / "manifests" / "erasures.yaml").write_text("version: 2\n")
    assert job("reconciler-plan", MERGE_REQUEST).returncode == 1
    assert "### No plan: the manifests cannot be used" in server.notes[0]["body"]


def test_where_there_is_no_plan_the_note_says_so_and_an_older_file_is_not_taken_for_one(job, server, project):
    assert job("reconciler-plan", MERGE_REQUEST).returncode == 0
    failed = job("reconciler-plan", {**MERGE_REQUEST, "RECONCILER_STATE": "nonsense://x"})
    assert failed.returncode == 1
    (note,) = server.notes
    assert "There is no plan of the newest commit" in note["body"]
    assert "nonsense" in note["body"]
    assert not (project / "reconciler.plan.json").exists()


def test_a_note_that_cannot_be_written_fails_the_job_as_an_old_plan_would_stand_there(job, server):
    server.tokens = {"glpat-another": server.tokens[server.token]}
    planned = job("reconciler-plan", {**MERGE_REQUEST, "RECONCILER_GITLAB_TOKEN": "glpat-expired"})
    assert planned.returncode == 1
    assert "GitLab does not accept the token (401)" in planned.stderr
    assert "glpat-expired" not in planned.stdout + planned.stderr


def test_a_push_without_a_merge_request_is_planned_and_applied_without_a_note(job, server):
    assert job("reconciler-plan", DEFAULT_BRANCH).returncode == 0
    applied = job("reconciler-apply", DEFAULT_BRANCH)
    assert applied.returncode == 0
    assert f"No note was written: no single merge request made {MERGED[:12]}." in applied.stdout
    assert server.notes == []


def test_the_note_of_somebody_else_with_the_same_marker_stays_as_it_is(job, server):
    assert job("reconciler-plan", MERGE_REQUEST).returncode == 0
    theirs = server.say(7, "mallory", f"{server.notes[0]['body']}\nmine\n")
    server.notes.reverse()
    assert job("reconciler-plan", MERGE_REQUEST).returncode == 0
    assert [each["author"]["username"] for each in server.notes] == ["mallory", BOT]
    assert theirs["body"].startswith("<!-- vectorize-reconciler plan")
    assert theirs["body"].endswith("\nmine\n")


@pytest.mark.parametrize("name", ["reconciler-plan", "reconciler-apply"])
def test_no_script_trips_over_a_quote_a_space_or_an_exit_code(name, project, tmp_path):
    assert shellcheck(scripts_of(project / ".gitlab-ci.yml", tmp_path)[name]) == ""

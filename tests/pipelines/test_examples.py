"""Pipelines that are not GitHub's, run as they stand: GitLab's jobs, Atlantis' steps, a script for any shell."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from reconciler.cli.app import run
from reconciler.emulator import RunningEmulator
from support.actions import ROOT, Runner
from support.gitlab import scripts_of
from support.repository import ACCOUNT, SECRET, manifest

EXAMPLES = ROOT / ".github" / "examples"


class Shop:
    """A folder with manifests, a state, and a way to run scripts there as a pipeline would."""

    def __init__(self, runner: Runner, service: RunningEmulator) -> None:
        self.folder = runner.workspace
        self.service = service
        self.environment = {
            **runner._base(),
            "CLOUDFLARE_BASE_URL": service.base_url,
            "CLOUDFLARE_API_TOKEN": SECRET,
        }
        (self.folder / "manifests").mkdir()
        self.declare("doc-001", "doc-002")

    def declare(self, *ids: str) -> None:
        (self.folder / "manifests" / "gdpr.yaml").write_text(manifest(*ids))

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script, "script", *arguments], cwd=self.folder, text=True, check=False,
            capture_output=True, env={**self.environment, **variables}, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def live(self) -> set[str]:
        return set(self.service.emulator.ids(ACCOUNT, "docs"))


@pytest.fixture
def shop(runner: Callable[..., Runner], service: RunningEmulator) -> Shop:
    made = Shop(runner(), service)
    assert made.run("reconciler state init").returncode == 0
    return made


# The script for any shell.

SCRIPT = str(EXAMPLES / "pipeline.sh")


def test_any_shell_plans_applies_exactly_that_and_verifies(shop):
    planned = shop.run('"$1" plan', SCRIPT)
    assert planned.returncode == 0, planned.stderr
    assert "waits for an approval" in planned.stdout
    assert (shop.folder / "erasure.plan.md").read_text().startswith("<!-- vectorize-reconciler plan ")
    assert shop.run('"$1" apply', SCRIPT).returncode == 0
    assert not shop.live() & {"doc-001", "doc-002"}
    assert shop.run('"$1" verify', SCRIPT).returncode == 0
    last = json.loads((shop.folder / "verify.jsonl").read_text().splitlines()[-1])
    assert (last["type"], last["reappeared"]) == ("summary", 0)


def test_any_shell_is_told_what_failed(shop):
    assert shop.run('"$1" plan', SCRIPT).returncode == 0
    shop.declare("doc-001", "doc-002", "doc-003")
    stale = shop.run('"$1" apply', SCRIPT)
    assert (stale.returncode, stale.stderr.splitlines()[-1]) == (6, "failure-reason=plan-changed")
    assert len(shop.live()) == 300
    assert shop.run('"$1" plan', SCRIPT).returncode == 0
    assert shop.run('"$1" apply', SCRIPT).returncode == 0
    shop.service.emulator.seed(ACCOUNT, "docs", ["doc-002"])
    back = shop.run('"$1" verify', SCRIPT)
    assert (back.returncode, back.stderr.splitlines()[-1]) == (4, "failure-reason=reappeared")
    (shop.folder / "reconciler.yaml").write_text("version: 1\nlimits: {max_deletes: 0}\n")
    refused = shop.run('"$1" plan', SCRIPT)
    assert (refused.returncode, refused.stderr.splitlines()[-1]) == (3, "failure-reason=refused")
    assert shop.run('"$1" nonsense', SCRIPT).returncode == 1


# Atlantis.


def test_atlantis_comments_the_plan_and_applies_its_file(shop, tmp_path):
    workflow = yaml.safe_load((EXAMPLES / "atlantis.yaml").read_text())["workflows"]["reconciler"]
    (plan,), (apply,) = (workflow[stage]["steps"] for stage in ("plan", "apply"))
    file = str(tmp_path / "vectorize-default.tfplan")  # as Atlantis calls it
    planned = shop.run(plan["run"], PLANFILE=file)
    assert planned.returncode == 0, planned.stderr
    assert "2 to delete" in planned.stdout
    applied = shop.run(apply["run"], PLANFILE=file)
    assert applied.returncode == 0, applied.stderr
    assert not shop.live() & {"doc-001", "doc-002"}


# GitLab.


@pytest.fixture
def gitlab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The scripts of the jobs that `init --ci gitlab` writes, by name."""
    folder = tmp_path / "scaffold"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert run(["init", "--ci", "gitlab"]) == 0
    (tmp_path / "room").mkdir()
    return scripts_of(folder / ".gitlab-ci.yml", tmp_path / "room")


def test_gitlab_shows_how_many_are_deleted_and_applies_that_plan(shop, gitlab):
    assert shop.run(gitlab["reconciler-validate"]).returncode == 0
    planned = shop.run(gitlab["reconciler-plan"])
    assert planned.returncode == 0, planned.stderr
    report = json.loads((shop.folder / "reconciler.report.json").read_text())
    assert report == {"create": 0, "update": 0, "delete": 2}
    applied = shop.run(gitlab["reconciler-apply"])
    assert applied.returncode == 0, applied.stderr
    assert not shop.live() & {"doc-001", "doc-002"}
    assert shop.run(gitlab["reconciler-verify"]).returncode == 0
    shop.service.emulator.seed(ACCOUNT, "docs", ["doc-001"])
    assert shop.run(gitlab["reconciler-verify"]).returncode == 4


def test_gitlabs_plan_is_saved_with_the_mode_of_a_secret(shop, gitlab):
    shop.run(gitlab["reconciler-plan"])
    assert (shop.folder / "reconciler.plan.json").stat().st_mode & 0o777 == 0o600

"""The commit hook, installed and run by the real pre-commit."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from reconciler.cli.app import run
from support.actions import ROOT
from support.needs import unavailable
from support.repository import git, manifest

HOOKS = ROOT / ".pre-commit-hooks.yaml"
SHIPPED = (
    "reconciler",
    "schemas",
    "manifests",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    ".pre-commit-hooks.yaml",
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """This checkout as a repository that pre-commit can clone, with what is not committed yet."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "source")
    return folder


class PreCommit:
    def __init__(self, folder: Path, home: Path, path: str = "") -> None:
        if importlib.util.find_spec("pre_commit") is None:
            unavailable("pre-commit is not installed")
        self.folder = folder
        kept = {n: v for n, v in os.environ.items() if n.startswith(("PIP_", "SSL_", "HTTP", "HTTPS", "NO_PROXY"))}
        self.environment = {
            **kept, "PATH": f"{path}{':' if path else ''}{os.environ['PATH']}", "HOME": str(home),
            "PRE_COMMIT_HOME": str(home / "pre-commit"), "GIT_CONFIG_NOSYSTEM": "1", "PYTHONPATH": "",
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
        }  # fmt: skip

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
            timeout=110,
        )
        said = done.stdout + done.stderr
        if "An unexpected error has occurred: CalledProcessError" in said and "pip" in said:
            unavailable(f"pip cannot install what the hook needs: {said[-500:]}")
        return done

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Modules that a .pth file of the tests' environment leads to are not in that of a hook.
        return self.run(sys.executable, "-m", "pre_commit", *arguments)


def test_a_commit_with_a_manifest_that_cannot_be_used_is_refused_and_one_without_a_slip_is_not(
    project, source, tmp_path
):
    pre_commit = PreCommit(project, tmp_path)
    config = {"repos": [{"repo": str(source), "rev": "HEAD", "hooks": [{"id": "reconciler-validate"}]}]}
    config["repos"][0]["rev"] = git(source, "rev-parse", "HEAD")
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    (project / "manifests").mkdir()
    path = project / "manifests" / "gdpr.yaml"
    path.write_text(manifest("doc-1").replace("index:", "indx:"))
    assert pre_commit("install").returncode == 0
    git(project, "add", "--all")
    refused = pre_commit.run("git", "commit", "--quiet", "--message", "m")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "validate manifests of vector ids" in refused.stderr
    assert "manifests/gdpr.yaml:4:" in refused.stderr

    path.write_text(manifest("doc-1"))
    git(project, "add", "--all")
    accepted = pre_commit.run("git", "commit", "--quiet", "--message", "m")
    assert accepted.returncode == 0, accepted.stderr
    assert git(project, "log", "--format=%s") == "m"

    # A commit that touches no manifest does not wait for it.
    (project / "app.py").write_text("print()\n")
    git(project, "add", "--all")
    other = pre_commit.run("git", "commit", "--message", "code")
    assert "no files to check" in other.stderr + other.stdout


def test_the_hook_that_init_writes_without_a_source_uses_the_program_that_is_there(project, tmp_path, monkeypatch):
    monkeypatch.setattr("reconciler.cli.scaffolding._source", lambda _: None)
    assert run(["init", "--pre-commit"]) == 0
    program = tmp_path / "bin" / "reconciler"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "from reconciler.cli import main; main()" "$@"\n'
    )
    program.chmod(0o755)
    pre_commit = PreCommit(project, tmp_path, str(program.parent))
    git(project, "add", "--all")
    good = pre_commit("run", "--all-files")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "Passed" in good.stdout
    (project / "manifests" / "erasures.yaml").write_text("version: 2\n")
    bad = pre_commit("run", "--all-files")
    assert bad.returncode == 1
    assert "manifests/erasures.yaml:1:10" in bad.stdout


def test_the_hook_is_offered_as_one_that_checks_everything_at_once():
    (hook,) = yaml.safe_load(HOOKS.read_text())
    assert (hook["id"], hook["entry"], hook["language"]) == (
        "reconciler-validate",
        "reconciler validate",
        "python",
    )
    assert hook["pass_filenames"] is False

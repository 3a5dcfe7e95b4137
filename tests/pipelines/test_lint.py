"""Pipelines pass the linters of their trade; and the linters are shown to find something."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.app import run
from support.actions import ACTION, ROOT
from support.linters import actionlint, schema_of, scripts_of, shellcheck, zizmor

EXAMPLES = ROOT / ".github" / "examples"


@pytest.fixture
def scaffolded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `init` writes for GitHub and, beside it, for GitLab."""
    monkeypatch.chdir(tmp_path)
    assert (
        run(["init", "--ci", "github", "--pre-commit", "--source", f"acme/vectorize-reconciler@{'a' * 40}"]) == 0
    )
    assert run(["init", "--ci", "gitlab"]) == 0
    return tmp_path


def test_the_action_the_workflows_and_the_scaffolded_one_are_safe_to_zizmor(scaffolded):
    assert zizmor(ACTION, ROOT / ".github" / "workflows" / "ci.yml", scaffolded / ".github") == ""


def test_zizmor_notices_an_action_that_is_not_pinned_and_an_input_in_a_script(tmp_path):
    workflow = tmp_path / ".github" / "workflows" / "w.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(
        "on: pull_request\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: actions/checkout@v4\n"
        '      - run: echo "${{ github.event.pull_request.title }}"\n'
    )
    said = zizmor(tmp_path / ".github")
    assert "unpinned-uses" in said
    assert "template-injection" in said


def test_every_file_fits_the_schema_of_its_kind(scaffolded):
    assert schema_of("github-actions", ACTION) == ""
    assert schema_of("github-workflows", ROOT / ".github" / "workflows" / "ci.yml") == ""
    assert schema_of("github-workflows", scaffolded / ".github" / "workflows" / "reconciler.yml") == ""
    assert schema_of("gitlab-ci", scaffolded / ".gitlab-ci.yml") == ""


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("github-workflows", "on: push\njobs:\n  a:\n    runs-on: x\n    stepz: []\n"),
        ("github-actions", "name: a\ndescription: b\nruns: {using: composite, steps: [{run: x}]}\n"),
        ("gitlab-ci", "a:\n  script: [x]\n  artifacts: {reports: {terraform: 1}}\n"),
    ],
)
def test_the_schemas_notice_what_does_not_fit(kind, text, tmp_path):
    path = tmp_path / "file.yml"
    path.write_text(text)
    assert schema_of(kind, path)


def test_no_expression_names_what_is_not_there(scaffolded, tmp_path):
    workflow = scaffolded / ".github" / "workflows" / "reconciler.yml"
    assert actionlint(workflow, ROOT / ".github" / "workflows" / "ci.yml") == []
    bad = tmp_path / "bad.yml"
    bad.write_text(workflow.read_text().replace("inputs.fingerprint", "inputs.fingerprnt"))
    assert len(actionlint(bad)) == 3


@pytest.mark.parametrize(
    ("name", "script"), scripts_of(ACTION), ids=lambda value: value if len(value) < 50 else ""
)
def test_no_step_of_the_action_trips_over_a_quote_a_space_or_an_exit_code(name, script):
    assert shellcheck(script) == ""


def test_the_example_for_any_shell_passes_shellcheck_and_shellcheck_notices_what_is_not_quoted():
    assert shellcheck((EXAMPLES / "pipeline.sh").read_text()) == ""
    assert "SC2086" in shellcheck("a=$1\nrm $a\n")

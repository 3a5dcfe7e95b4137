"""The composite action, run step by step from action.yml, with bash, a git repository and a forge on loopback."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest
import yaml

from support.actions import ACTION, Runner

ON_MAIN = {"event_name": "push", "ref": "refs/heads/main"}
TOKEN = {"CLOUDFLARE_API_TOKEN": "v1-0123456789abcdef-SECRET"}
MANIFEST = """version: 1
account_id: "023e105f4ecef8ad9ca31a8372d0c353"
absent:
  - index: docs
    reason: "PRIV-1"
    ids: ["doc-001", "doc-002"]
"""


@pytest.fixture
def action() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(ACTION.read_text())
    return document


def write(runner: Runner, name: str = "manifests/gdpr.yaml", text: str = MANIFEST) -> None:
    path = runner.workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# What can be read off the file.


def test_nothing_is_interpolated_into_a_script_and_no_other_action_is_used(action):
    for step in action["runs"]["steps"]:
        assert "${{" not in step["run"], step["name"]
        assert "uses" not in step
        assert step["shell"] == "bash"


def test_no_script_evaluates_text_or_prints_the_token(action):
    for step in action["runs"]["steps"]:
        assert not re.search(r"\beval\b|\bset -x\b|bash -c|echo[^|]*TOKEN", step["run"]), step["name"]


def test_every_input_is_used_and_every_input_and_output_is_described(action):
    text = ACTION.read_text()
    for name, each in action["inputs"].items():
        assert each["description"]
        assert f"inputs.{name}" in text, name
    assert all(each["description"] for each in action["outputs"].values())


# Refusals before anything happens.


@pytest.mark.parametrize(
    ("inputs", "options", "words"),
    [
        ({"command": "destroy"}, {}, "command is validate, plan, apply or verify"),
        ({"command": "apply", "expect": "x"}, ON_MAIN, "apply needs a state that outlives this runner"),
        ({"command": "verify"}, ON_MAIN, "verify needs a state that outlives this runner"),
        ({"command": "apply", "expect": "x", "state": "file:x.jsonl"}, ON_MAIN, "a file is lost with it"),
        (
            {"command": "apply", "expect": "x", "state": "s3://b/p", "state-branch": "s"},
            ON_MAIN,
            "exclude each other",
        ),
        ({"command": "apply", "state-branch": "s"}, ON_MAIN, "apply needs what was approved"),
        ({"command": "apply", "expect": "x", "state-branch": "s"}, {}, "does not run on pull requests"),
        ({"command": "verify", "state-branch": "s"}, {}, "does not run on pull requests"),
        (
            {"command": "apply", "expect": "x", "state": "s3://b/p"},
            {"event_name": "push", "ref": "refs/heads/feature"},
            "runs on the default branch only",
        ),
        (
            {"command": "apply", "expect": "x", "state": "s3://b/p"},
            {"event_name": "push", "ref": "refs/heads/main", "event": {"repository": {}}},
            "runs on the default branch only",
        ),
        (
            {"command": "apply", "expect": "x", "state": "s3://b/p"},
            {"event_name": "pull_request_target", "ref": "refs/heads/main"},
            "does not run on pull requests",
        ),
    ],
)
def test_what_must_not_run_is_refused_before_anything_is_installed(runner, inputs, options, words):
    ended = runner(**options).run_action(**inputs)
    assert ended.failed
    assert ended.ran == ["check", "end"]
    assert words in ended.log
    assert (ended.outputs["exit-code"], ended.outputs["failure-reason"]) == ("1", "error")


def test_an_input_full_of_shell_is_an_input_and_nothing_more(runner, tmp_path):
    machine = runner()
    write(machine)
    hostile = (
        f"$(touch {tmp_path}/pwned); `touch {tmp_path}/pwned`\n--config=/etc/passwd\n'\" && touch {tmp_path}/pwned"
    )
    ended = machine.run_action(command="validate", paths=hostile, config=hostile, name=hostile)
    assert ended.failed
    assert not (tmp_path / "pwned").exists()


# validate and plan.


def test_validate_needs_no_token_no_state_and_no_network(runner, forge):
    machine = runner()
    write(machine)
    ended = machine.run_action(command="validate")
    assert not ended.failed, ended.log
    assert (ended.outputs["exit-code"], ended.outputs["failure-reason"]) == ("0", "")
    assert forge.requests == []


def test_validate_annotates_what_is_wrong_and_fails(runner):
    machine = runner()
    write(machine, text=MANIFEST.replace("index: docs", "indx: docs"))
    ended = machine.run_action(command="validate")
    assert ended.failed
    assert "::error file=manifests/gdpr.yaml,line=4" in ended.log
    assert ended.outputs["failure-reason"] == "error"


def test_a_working_directory_of_its_own_is_where_everything_is_read(runner):
    machine = runner()
    write(machine, "erasures/manifests/gdpr.yaml")
    assert not machine.run_action(command="validate", working_directory="erasures").failed
    assert machine.run_action(command="validate").failed


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (0, "", "**Applied**"),
        (1, "error", "the run failed"),
        (3, "refused", "a limit or a keep refuses it"),
        (4, "reappeared", "ids are present that should be gone"),
        (5, "state-locked", "another run holds the state"),
        (6, "plan-changed", "the plan has changed"),
        (7, "not-settled", "not verified absent in time"),
        (130, "interrupted", "run it again to finish what was approved"),
    ],
)
def test_every_exit_code_of_apply_has_a_reason_and_a_word_in_the_comment(runner, forge, code, reason, words):
    forge.open_pull_request(7, "a" * 40)
    machine = runner(**ON_MAIN)
    program = machine.folder / "bin" / "reconciler"
    shutil.copy(program, machine.folder / "bin" / "real")
    program.write_text(
        f'#!/bin/bash\n[ "$1" != apply ] || {{ echo "said: ::error::x" >&2; exit {code}; }}\n'
        f'exec "{machine.folder}/bin/real" "$@"\n'
    )
    ended = machine.run_action(command="apply", state="s3://b/p", expect="x", comment="true", pull_request="7")
    assert ended.failed is (code != 0)
    assert (ended.outputs["exit-code"], ended.outputs["failure-reason"]) == (str(code), reason)
    (comment,) = forge.comments
    assert words in comment["body"]
    assert "said: ::error::x" in comment["body"]


def test_a_comment_that_cannot_be_written_fails_a_run_that_went_well_and_says_what_is_missing(runner, forge):
    forge.open_pull_request(7, "a" * 40)
    forge.tokens[forge.token].may = frozenset()
    machine = runner(event={"pull_request": {"number": 7, "head": {"sha": "b" * 40}}})
    write(machine)
    ended = machine.run_action(command="plan", comment="true")
    assert ended.failed
    assert (ended.outputs["exit-code"], ended.outputs["failure-reason"]) == ("1", "error")
    assert ended.outputs["deletes"] == "2"
    assert "`pull-requests: write`" in ended.log


def test_a_plan_beyond_a_limit_is_shown_and_called_refused(runner, forge):
    forge.open_pull_request(7, "b" * 40)
    machine = runner(event={"pull_request": {"number": 7, "head": {"sha": "b" * 40}}})
    write(machine)
    write(machine, "reconciler.yaml", "version: 1\nlimits: {max_deletes: 1}\n")
    ended = machine.run_action(command="plan", comment="true")
    assert ended.failed
    assert (ended.outputs["exit-code"], ended.outputs["failure-reason"]) == ("3", "refused")
    assert "::error" in ended.log
    assert "doc-001" in forge.comments[0]["body"]


def test_the_program_is_installed_from_the_actions_own_commit(runner):
    """As users get it: a virtual environment, and nothing of the machine's Python."""
    machine = runner()
    machine.install = True
    write(machine)
    for name in ("logging", "venv", "pip", "sys", "subprocess"):  # a repository may have modules of these names
        write(machine, f"{name}.py", "raise SystemExit('code of the repository ran')")
    (machine.folder / "bin" / "reconciler").unlink()
    ended = machine.run_action(
        {"PYTHONPATH": ""}, command="validate", python=shutil.which("python3.11") or "python3"
    )
    assert not ended.failed, ended.log
    assert "install" in ended.ran
    assert list((machine.folder / "temp").iterdir()) == [], "nothing is left behind"


def test_an_old_python_is_named_before_pip_fails_in_riddles(runner, tmp_path):
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\necho 'vectorize-reconciler needs Python 3.11 or newer' >&2; exit 1\n")
    old.chmod(0o755)
    machine = runner()
    machine.install = True
    ended = machine.run_action(command="validate", python=str(old))
    assert ended.failed
    assert "run" not in ended.ran


def test_the_scripts_use_nothing_that_a_runner_may_lack(action):
    scripts = "\n".join(step["run"] for step in action["runs"]["steps"])
    assert not re.search(r"^\s*(jq|gh|curl|wget|yq|node|sudo)\b", scripts, re.MULTILINE)

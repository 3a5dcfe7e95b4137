"""The composite action, run step by step from action.yml, with bash, a git repository and a forge on loopback."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest
import yaml

from support.actions import ACTION, Runner
from support.forge import BOT
from support.githttp import serving
from support.repository import git

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


# validate and the state's branch.


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


def on_main(runner, repository, **options: Any) -> Runner:
    """A runner with main checked out, as a push to it starts one."""
    machine: Runner = runner(**{**ON_MAIN, "origin": repository.bare, "environment": TOKEN, **options})
    machine.sha = repository.commit("m", {"manifests/gdpr.yaml": MANIFEST})
    repository.push("main")
    machine._checkout({"persist-credentials": "false"})
    return machine


def fingerprint(machine: Runner, **inputs: str) -> str:
    """Of the plan as it is now."""
    return machine.run_action(command="plan", state_branch="state", **inputs).outputs["fingerprint"]


def test_apply_commits_the_state_to_its_own_branch_and_tells_what_it_did(runner, repository, service):
    machine = on_main(runner, repository)
    repository.init_state()
    expected = fingerprint(machine)
    ended = machine.run_action(TOKEN, command="apply", state_branch="state", expect=expected)
    assert not ended.failed, ended.log
    wanted = {"deletes": "2", "reappeared": "0", "fingerprint": expected, "exit-code": "0", "failure-reason": ""}
    assert wanted.items() <= ended.outputs.items()
    assert "2 ids accepted, 2 verified absent" in ended.log
    assert "2 ids accepted, 2 verified absent" in machine.summary
    kinds = [event["kind"] for frame in repository.state() for event in frame["events"]]
    assert kinds[-1] == "run_finished"
    assert "accepted" in kinds
    assert repository.branches() == ["main", "state"]


def test_apply_without_the_states_branch_says_how_to_make_one(runner, repository):
    machine = on_main(runner, repository)
    ended = machine.run_action(TOKEN, command="apply", state_branch="state", expect="sha256:" + "0" * 64)
    assert ended.failed
    assert "git switch --orphan BRANCH" in ended.log
    assert "run" not in ended.ran


def test_a_state_branch_without_the_state_is_an_error_and_not_an_empty_state(runner, repository):
    machine = on_main(runner, repository)
    repository.push("state")
    ended = machine.run_action(TOKEN, command="apply", state_branch="state", expect="sha256:" + "0" * 64)
    assert ended.failed
    assert "there is no state" in ended.log
    assert ended.outputs["failure-reason"] == "error"


def test_a_plan_that_is_not_the_approved_one_sends_nothing_and_is_called_plan_changed(runner, repository, service):
    machine = on_main(runner, repository)
    repository.init_state()
    ended = machine.run_action(TOKEN, command="apply", state_branch="state", expect="sha256:" + "0" * 64)
    assert ended.failed
    assert (ended.outputs["exit-code"], ended.outputs["failure-reason"]) == ("6", "plan-changed")
    assert service.emulator.record(operation="delete_by_ids") == []
    assert len(repository.state()) == 1


def test_a_push_that_would_lose_frames_fails_loudly_and_keeps_them_on_a_branch(
    runner, repository, service, tmp_path
):
    machine = on_main(runner, repository)
    repository.init_state()
    expected = fingerprint(machine)

    # Another job pushes while this one runs: when the program is done, before the push.
    program = machine.folder / "bin" / "reconciler"
    shutil.copy(program, machine.folder / "bin" / "real")
    program.write_text(
        f'#!/bin/bash\n"{machine.folder}/bin/real" "$@"; code=$?\n'
        f'if [ "$1" = apply ]; then cd {repository.clone.parent}/state-clone && date +%N > other && git add other &&\n'
        "git -c user.name=b -c user.email=b@c commit --quiet -m other && git push --quiet origin HEAD:state; fi >&2\n"
        "exit $code\n"
    )
    ended = machine.run_action(TOKEN, command="apply", state_branch="state", expect=expected)
    assert ended.failed
    assert (ended.outputs["exit-code"], ended.outputs["failure-reason"]) == ("1", "error")
    rescue = f"state-rescue-{machine.run_id}-1"
    assert repository.branches() == ["main", "state", rescue]
    assert len(repository.state()) == 1, "what the other job pushed stays"
    kinds = [event["kind"] for frame in repository.state(rescue) for event in frame["events"]]
    assert "accepted" in kinds
    assert f"What this run recorded is in the branch {rescue}" in ended.log
    assert "Plan and apply again" in ended.log


def test_when_nothing_can_be_pushed_the_frames_stay_on_the_runner_and_it_says_where(runner, repository):
    machine = on_main(runner, repository)
    repository.init_state()
    expected = fingerprint(machine)
    hook = repository.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    ended = machine.run_action(TOKEN, command="apply", state_branch="state", expect=expected)
    assert ended.failed
    kept = machine.folder / "temp" / "reconciler.rescued.state.jsonl"
    assert '"accepted"' in kept.read_text()
    assert str(kept) in ended.log


def test_the_token_never_reaches_a_log_a_summary_or_the_state(runner, repository, forge):
    machine = on_main(runner, repository)
    repository.init_state()
    expected = fingerprint(machine)
    ended = machine.run_action(TOKEN, command="apply", state_branch="state", expect=expected)
    everything = ended.log + machine.summary + str(repository.state()) + str(ended.outputs)
    for secret in (forge.token, TOKEN["CLOUDFLARE_API_TOKEN"]):
        assert secret not in everything


@pytest.mark.parametrize("persisted", [False, True])
def test_the_state_is_fetched_and_pushed_with_the_token_and_no_other_credentials(
    runner, repository, forge, persisted
):
    """A private repository: the token goes to git, once, even where the checkout left another one behind."""
    machine = on_main(runner, repository)
    repository.init_state()
    with serving(repository.bare, forge.token) as served:
        git(machine.workspace, "remote", "set-url", "origin", f"{served.url}/origin.git")
        if persisted:
            git(
                machine.workspace, "config", f"http.{served.url}/.extraheader", "AUTHORIZATION: basic b2xkOm9sZA=="
            )
        machine.environment["GITHUB_SERVER_URL"] = served.url
        expected = fingerprint(machine)
        ended = machine.run_action(TOKEN, command="apply", state_branch="state", expect=expected)
    assert not ended.failed, ended.log
    assert len(repository.state()) > 1
    assert all(len(each) == 1 for each in served.headers)


def test_a_token_that_may_not_read_the_state_stops_before_anything_is_sent(runner, repository, service):
    machine = on_main(runner, repository)
    repository.init_state()
    with serving(repository.bare, "another-token") as served:
        git(machine.workspace, "remote", "set-url", "origin", f"{served.url}/origin.git")
        machine.environment["GITHUB_SERVER_URL"] = served.url
        ended = machine.run_action(TOKEN, command="apply", state_branch="state", expect="sha256:" + "0" * 64)
    assert ended.failed
    assert "may the token read this repository?" in ended.log
    assert service.emulator.record() == []


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


# verify and its issue.


def applied(runner, repository) -> Runner:
    machine = on_main(runner, repository)
    repository.init_state()
    done = machine.run_action(TOKEN, command="apply", state_branch="state", expect=fingerprint(machine))
    assert not done.failed, done.log
    return machine


def nightly(runner, repository) -> Runner:
    machine: Runner = runner(
        event_name="schedule", ref="refs/heads/main", origin=repository.bare, environment=TOKEN
    )
    machine.sha = "main"
    machine._checkout({"persist-credentials": "false"})
    return machine


def test_ids_that_come_back_open_one_issue_which_is_updated_and_closed_when_they_are_gone(
    runner, repository, service, forge
):
    applied(runner, repository)
    seed = service.emulator.seed
    account = "023e105f4ecef8ad9ca31a8372d0c353"

    seed(account, "docs", ["doc-001"])
    first = nightly(runner, repository).run_action(TOKEN, command="verify", state_branch="state", issue="true")
    assert first.failed
    assert (first.outputs["exit-code"], first.outputs["failure-reason"]) == ("4", "reappeared")
    assert first.outputs["reappeared"] == "1"
    (issue,) = forge.issues
    assert issue["title"] == "1 erased vector id is present again"
    assert "`doc-001`" in issue["body"]
    assert "PRIV-1" in issue["body"]
    assert issue["user"]["login"] == BOT

    seed(account, "docs", ["doc-002"])
    nightly(runner, repository).run_action(TOKEN, command="verify", state_branch="state", issue="true")
    assert len(forge.issues) == 1
    assert issue["title"] == "2 erased vector ids are present again"
    assert [c["body"].startswith("Now 2 ids") for c in forge.comments_of(issue["number"])] == [True]

    machine = nightly(runner, repository)
    done = machine.run_action(TOKEN, command="apply", state_branch="state", expect=fingerprint(machine))
    assert not done.failed, done.log
    last = nightly(runner, repository).run_action(TOKEN, command="verify", state_branch="state", issue="true")
    assert not last.failed, last.log
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")
    assert len(forge.issues) == 1


def test_a_verify_that_cannot_read_leaves_the_issue_alone(runner, repository, service, forge):
    applied(runner, repository)
    forge.issues.append({
        "number": 5, "state": "open", "user": {"login": BOT}, "title": "t",
        "body": "<!-- vectorize-reconciler reappeared . -->\n",
    })  # fmt: skip
    machine = nightly(runner, repository)
    machine.environment["CLOUDFLARE_API_TOKEN"] = ""
    ended = machine.run_action({}, command="verify", state_branch="state", issue="true")
    assert ended.failed
    assert ended.outputs["failure-reason"] == "error"
    assert forge.issues[0]["state"] == "open"


def test_the_program_is_installed_from_the_actions_own_commit(runner):
    """As users get it: a virtual environment, and nothing of the machine's Python."""
    machine = runner()
    machine.install = True
    write(machine)
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

"""The action and the state: a branch of its own, pushed without a force, and what verify makes of it."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from support.actions import Runner
from support.forge import BOT
from support.githttp import serving
from support.repository import ACCOUNT, SECRET, git, manifest

ON_MAIN = {"event_name": "push", "ref": "refs/heads/main"}
TOKEN = {"CLOUDFLARE_API_TOKEN": SECRET}
MANIFEST = manifest("doc-001", "doc-002")


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

    seed(ACCOUNT, "docs", ["doc-001"])
    first = nightly(runner, repository).run_action(TOKEN, command="verify", state_branch="state", issue="true")
    assert first.failed
    assert (first.outputs["exit-code"], first.outputs["failure-reason"]) == ("4", "reappeared")
    assert first.outputs["reappeared"] == "1"
    (issue,) = forge.issues
    assert issue["title"] == "1 erased vector id is present again"
    assert "`doc-001`" in issue["body"]
    assert "PRIV-1" in issue["body"]
    assert issue["user"]["login"] == BOT

    seed(ACCOUNT, "docs", ["doc-002"])
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

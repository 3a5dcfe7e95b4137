"""A pull request from its first plan to the proof, with the workflow that `init` writes.

A bare git repository, a forge and an emulator of Vectorize on loopback; every step of every job is run.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from reconciler.cli.app import run
from reconciler.emulator import Fault
from reconciler.model.desired import Desired
from reconciler.planner.fingerprint import fingerprint
from support.actions import Ended, Runner
from support.forge import BOT, Forge
from support.repository import ACCOUNT, SECRET, Repository, git, manifest

WORKFLOW = ".github/workflows/reconciler.yml"
NUMBER = 7


class Story:
    """What people and the forge do, and the jobs that this starts."""

    def __init__(
        self, repository: Repository, forge: Forge, runner: Callable[..., Runner], service: Any, here: Any
    ) -> None:
        self.repository, self.forge, self.service = repository, forge, service
        self._runner = runner
        repository.commit("code", {"README.md": "# code\n"})
        here(repository.clone)
        assert run(["init", "--ci", "github"]) == 0
        self.main = repository.commit("set up", {})
        repository.push("main")
        repository.init_state("reconciler-state")

    def propose(self, *ids: str) -> None:
        """Open the pull request, or push to it; the forge starts the job that plans."""
        self.repository.write(**{"manifests/gdpr.yaml": manifest(*ids)})
        git(self.repository.clone, "switch", "--quiet", "-C", "erase")
        head = self.repository.commit(f"erase {len(ids)}", {})
        self.repository.push("erase")
        if NUMBER in self.forge.pull_requests:
            self.forge.push(NUMBER, head)
        else:
            self.forge.open_pull_request(NUMBER, head)

    def plan(self, **head_repository: str) -> Ended:
        """The job of the pull request, on the merge that the forge makes of it."""
        pull_request = self.forge.pull_requests[NUMBER]
        head = {**pull_request["head"], "repo": {"full_name": self.forge.repository, **head_repository}}
        event = {"pull_request": {"number": NUMBER, "head": head, "base": {"ref": "main", "sha": self.main}}}
        merge = self._merged(pull_request["head"]["sha"])
        return self.jobs("plan", event=event, sha=merge, ref=f"refs/pull/{NUMBER}/merge")

    def merge(self) -> None:
        commit = self._merged(self.forge.pull_requests[NUMBER]["head"]["sha"])
        git(self.repository.clone, "push", "--quiet", "origin", f"{commit}:refs/heads/main")
        self.main = commit
        self.forge.merge(NUMBER, commit)

    def apply(self, **options: Any) -> Ended:
        return self.jobs("apply", **{"event_name": "push", "ref": "refs/heads/main", "sha": self.main, **options})

    def verify(self) -> Ended:
        event = {"schedule": "17 3 * * *", "repository": None}  # GitHub says no more
        return self.jobs("verify", event_name="schedule", ref="refs/heads/main", sha=self.main, event=event)

    def jobs(self, job: str, **options: Any) -> Ended:
        """Run the workflow of the commit; exactly `job` must start."""
        secrets = {"CLOUDFLARE_API_TOKEN": SECRET}
        variables = {"CLOUDFLARE_ACCOUNT_ID": ACCOUNT}
        machine = self._runner(origin=self.repository.bare, secrets=secrets, vars=variables, **options)
        path = machine.folder / "workflow.yml"
        path.write_text(git(self.repository.clone, "show", f"{options['sha']}:{WORKFLOW}"))
        ended = machine.run_workflow(path)
        assert list(ended) == [job]
        self.summary = machine.summary
        assert SECRET not in ended[job].log + machine.summary
        assert self.forge.token not in ended[job].log + machine.summary
        return ended[job]

    def _merged(self, head: str) -> str:
        clone = self.repository.clone
        git(clone, "switch", "--quiet", "--detach", self.main)
        git(clone, "merge", "--quiet", "--no-ff", "--message", "merge", head)
        commit = git(clone, "rev-parse", "HEAD")
        git(clone, "push", "--quiet", "--force", "origin", f"HEAD:refs/pull/{NUMBER}/merge")
        git(clone, "switch", "--quiet", "erase")
        return commit

    @property
    def comment(self) -> str:
        (found,) = [each for each in self.forge.comments_of(NUMBER) if each["user"]["login"] == BOT]
        return str(found["body"])

    def live(self) -> set[str]:
        return set(self.service.emulator.ids(ACCOUNT, "docs"))


@pytest.fixture
def story(repository, forge, runner, service, monkeypatch) -> Story:
    return Story(repository, forge, runner, service, monkeypatch.chdir)


def output(ended: Ended, name: str) -> str:
    return ended.outputs.get(f".{name}", ended.outputs.get(f"plan.{name}", ""))


def altered(content: bytes) -> bytes:
    return content.replace(b"doc-001", b"doc-003")


def of_another_plan(content: bytes) -> bytes:
    document = json.loads(content) | {"indexes": [], "manifests": [], "limits": {}, "diagnostics": []}
    document |= {"summary": dict.fromkeys(document["summary"], 0), "applyable": False, "complete": True}
    return json.dumps(document | {"fingerprint": fingerprint([], Desired(), {})}).encode()


@pytest.mark.parametrize("content", [lambda _: b"garbage", altered, of_another_plan])
def test_what_somebody_uploads_in_the_name_of_the_approved_plan_stops_nothing(story, forge, content):
    story.propose("doc-001", "doc-002")
    planned = story.plan()
    with zipfile.ZipFile(io.BytesIO(forge.artifacts[-1]["data"])) as archive:
        ours = archive.read(archive.namelist()[0])
    forge.upload(planned.outputs["plan.artifact-name"], content(ours))
    forge.artifacts[-1]["created_at"] = "2099-01-01T00:00:00Z"
    forge.approve(NUMBER)
    story.merge()
    done = story.apply()
    assert not done.failed, done.log
    assert "differences are not shown" in done.log
    assert not story.live() & {"doc-001", "doc-002"}


def test_planned_approved_merged_applied_and_proven(story, forge):
    story.propose("doc-001", "doc-002")
    planned = story.plan()
    assert not planned.failed, planned.log
    assert story.comment.startswith("<!-- vectorize-reconciler plan ")
    assert planned.outputs["plan.fingerprint"] in story.comment
    assert planned.outputs["plan.deletes"] == "2"
    assert planned.outputs["plan.fingerprint"] in story.summary
    assert "All that the plan below does is introduced here" in story.comment
    assert story.live() >= {"doc-001", "doc-002"}

    forge.approve(NUMBER)
    story.merge()
    done = story.apply()
    assert not done.failed, done.log
    assert not story.live() & {"doc-001", "doc-002"}
    assert len(story.live()) == 298
    assert "> **Applied** (" in story.comment
    assert "2 ids accepted, 2 verified absent" in story.comment
    assert planned.outputs["plan.fingerprint"] in story.comment, "the plan stays below"
    assert len(forge.comments) == 1

    night = story.verify()
    assert not night.failed, night.log
    assert forge.issues == []


def test_what_was_pending_anyway_is_told_apart_and_approved_with_the_rest(story, forge):
    story.propose("doc-001", "doc-002")
    story.plan()
    story.merge()
    assert not story.apply().failed
    story.propose("doc-001", "doc-002", "doc-003")
    story.plan()
    story.merge()  # and nobody applies it
    forge.open_pull_request(NUMBER, "")
    story.propose("doc-002", "doc-003", "doc-004")
    planned = story.plan()
    assert not planned.failed, planned.log
    told = (
        "Introduced: 1 to send, 1 to release. Pending anyway: 1 to send, 0 to release. "
        "Only in the plan of its base: 0 to send, 0 to release."
    )
    assert told in story.comment
    assert told in story.summary
    forge.approve(NUMBER)
    story.merge()
    done = story.apply()
    assert not done.failed, done.log
    assert not story.live() & {"doc-003", "doc-004"}
    assert "> **Applied** (" in story.comment
    assert told in story.comment, "it stays"


def test_a_manifest_changed_after_the_approval_is_not_applied_and_the_difference_is_shown(story, forge):
    story.propose("doc-001", "doc-002")
    story.plan()
    forge.approve(NUMBER)
    story.propose("doc-001", "doc-002", "doc-003")  # nobody looks at this any more
    replanned = story.plan()
    assert not replanned.failed
    story.merge()
    before = story.live()

    refused = story.apply()
    assert refused.failed
    assert (output(refused, "exit-code"), output(refused, "failure-reason")) == ("6", "plan-changed")
    assert story.live() == before, "nothing was sent"
    assert "the plan is not the approved one" in refused.log
    assert "manifests/gdpr.yaml" in refused.log, "the difference is shown"
    assert "> **Not applied: the plan has changed** (" in story.comment
    assert "manifests/gdpr.yaml" in story.comment.split("end of record")[0], "in the comment, too"
    assert len(forge.comments) == 1

    # Somebody looks, and applies it by the fingerprint of the plan as it is now.
    inputs = {"fingerprint": replanned.outputs["plan.fingerprint"]}
    approved = story.apply(event_name="workflow_dispatch", inputs=inputs)
    assert not approved.failed, approved.log
    assert not story.live() & {"doc-001", "doc-002", "doc-003"}


def test_an_approval_of_what_could_not_be_seen_yet_approves_nothing(story, forge):
    story.propose("doc-001")
    forge.approve(NUMBER, submitted_at="2020-01-01T00:00:00Z")
    story.plan()
    story.merge()
    refused = story.apply()
    assert refused.failed
    assert output(refused, "failure-reason") == "plan-changed"
    assert "was there when it was approved" in refused.log
    assert "Not applied" in story.comment
    assert "doc-001" in story.live()


def test_without_a_review_the_merge_approves_what_was_planned_last(story):
    story.propose("doc-001")
    story.plan()
    story.propose("doc-002")
    story.plan()
    story.merge()
    done = story.apply()
    assert not done.failed, done.log
    assert "doc-001" in story.live()
    assert "doc-002" not in story.live()


def test_a_merge_before_the_newest_commit_was_planned_applies_nothing(story):
    story.propose("doc-001")
    story.plan()
    story.propose("doc-002")
    story.merge()
    refused = story.apply()
    assert refused.failed
    assert {"doc-001", "doc-002"} <= story.live()


def test_a_push_to_main_without_a_pull_request_applies_nothing(story, forge):
    story.propose("doc-001")
    story.main = git(story.repository.clone, "rev-parse", "HEAD")
    story.repository.push("main")
    refused = story.apply()
    assert refused.failed
    assert output(refused, "exit-code") == "6"
    assert "no merged pull request" in refused.log
    assert "doc-001" in story.live()
    assert forge.comments == []


def test_somebody_elses_comment_with_our_marker_approves_nothing(story, forge):
    story.propose("doc-001")
    story.plan()
    forged = story.comment
    forge.comments.clear()
    forge.say(NUMBER, "mallory", forged)
    story.merge()
    refused = story.apply()
    assert refused.failed
    assert "doc-001" in story.live()
    assert forge.comments[0]["body"] == forged, "it is not ours to change"


def test_a_pull_request_from_a_fork_plans_without_a_comment_or_a_token(story, forge):
    story.propose("doc-001")
    planned = story.plan(full_name="mallory/erasures")
    assert not planned.failed, planned.log
    assert "the token of a pull request from a fork may not comment" in planned.log
    assert planned.outputs["plan.fingerprint"] in story.summary
    assert "### What this pull request introduces" in story.summary
    assert "All that the plan below does is introduced here" in story.summary
    assert forge.requests == []


def test_a_manifest_that_cannot_be_used_fails_the_pull_request_and_says_where(story, repository):
    story.propose("doc-001")
    story.plan()
    bad = manifest("doc-001").replace("index:", "indx:")
    head = repository.commit("slip", {"manifests/gdpr.yaml": bad})
    repository.push("erase")
    story.forge.push(NUMBER, head)
    planned = story.plan()
    assert planned.failed
    assert planned.outputs["plan.failure-reason"] == "error"
    assert "::error file=manifests/gdpr.yaml,line=4" in planned.log
    assert "indx" in story.comment


def test_an_interrupted_apply_is_finished_by_running_the_job_again(story, forge, service):
    """The state branch has what the first job recorded; the approval still holds for the rest."""
    story.propose("doc-001", "doc-002")
    story.plan()
    forge.approve(NUMBER)
    story.merge()
    service.emulator.faults.add(Fault(kind="error", operation="delete_by_ids", status=403, times=1))
    first = story.apply()
    assert first.failed
    assert output(first, "failure-reason") == "error"
    assert "the run failed" in story.comment
    again = story.apply()
    assert not again.failed, again.log
    assert not story.live() & {"doc-001", "doc-002"}
    assert "> **Applied** (" in story.comment


def test_what_came_back_is_deleted_again_by_the_fingerprint_that_the_night_shows(story, forge, service):
    story.propose("doc-001")
    story.plan()
    story.merge()
    story.apply()
    service.emulator.seed(ACCOUNT, "docs", ["doc-001"])
    night = story.verify()
    assert night.failed
    (issue,) = forge.issues
    assert "`doc-001`" in issue["body"]
    fingerprint = night.outputs["plan.fingerprint"]
    assert fingerprint in story.summary
    again = story.apply(event_name="workflow_dispatch", inputs={"fingerprint": fingerprint})
    assert not again.failed, again.log
    assert "doc-001" not in story.live()
    assert not story.verify().failed
    assert issue["state"] == "closed"


def test_the_jobs_of_the_workflow_ask_for_no_more_permissions_than_the_action_names(story):
    workflow = yaml.safe_load((story.repository.clone / WORKFLOW).read_text())
    assert workflow["permissions"] == {}
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == {
        "plan": {"contents": "read", "pull-requests": "write"},
        "apply": {"actions": "read", "contents": "write", "pull-requests": "write"},
        "verify": {"contents": "write", "issues": "write"},
    }


def test_a_pull_request_never_sees_the_token_and_one_job_at_a_time_appends_to_the_state(story):
    jobs = yaml.safe_load((story.repository.clone / WORKFLOW).read_text())["jobs"]
    assert "CLOUDFLARE_API_TOKEN" not in yaml.safe_dump(jobs["plan"]["steps"])
    assert "environment" not in jobs["plan"]
    assert jobs["apply"]["environment"] == jobs["verify"]["environment"] == "vectorize"
    alone = {"group": "vectorize-state", "cancel-in-progress": False}
    assert jobs["apply"]["concurrency"] == jobs["verify"]["concurrency"] == alone

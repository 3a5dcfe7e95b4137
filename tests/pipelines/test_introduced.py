"""What a pull request introduces, told apart from what was pending anyway: in the comment and in the summary."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.app import run
from reconciler.forge.comment import LONGEST, PLAN_BYTES, parse
from reconciler.forge.introduced import LEAST_BYTES, TITLE, unknown
from reconciler.planfile import read
from support import hostile
from support.actions import Ended, Runner
from support.forge import Forge
from support.githttp import serving
from support.hosts import RENDERERS, acts, rendered
from support.repository import Repository, git, manifest

HEADING = f"### {TITLE}"
NUMBER = 7
GDPR = "manifests/gdpr.yaml"


class PullRequest:
    """A base, a head, and the merge of both, which is what a job checks out."""

    def __init__(self, repository: Repository, forge: Forge, runner: Any) -> None:
        self.repository, self.forge, self._runner = repository, forge, runner

    def open(self, base: dict[str, str], head: dict[str, str], *, later: dict[str, str] | None = None) -> None:
        """The files of the base, and those that the head changes; `later`: what the base does meanwhile."""
        clone = self.repository.clone
        self.base = self.repository.commit("base", {"README.md": "# code\n", **base})
        self.repository.push("main")
        self.head = self.repository.commit("head", head)
        self.repository.push("erase")
        git(clone, "switch", "--quiet", "--detach", self.base)
        self.tip = self.repository.commit("later", later) if later else self.base
        git(clone, "push", "--quiet", "origin", "HEAD:refs/heads/main")
        git(clone, "merge", "--quiet", "--no-ff", "--message", "merge", self.head)
        self.merge = git(clone, "rev-parse", "HEAD")
        git(clone, "push", "--quiet", "origin", f"HEAD:refs/pull/{NUMBER}/merge")
        self.forge.open_pull_request(NUMBER, self.head)

    def machine(self, *, sha: str = "", base: str = "", **options: Any) -> Runner:
        """A runner with the merge checked out, or the commit `sha`."""
        event = {
            "pull_request": {"number": NUMBER, "head": {"sha": self.head}, "base": {"sha": base or self.base}}
        }
        machine: Runner = self._runner(origin=self.repository.bare, event=event, sha=sha or self.merge, **options)
        machine._checkout({"persist-credentials": "false"})
        return machine

    def plan(self, machine: Runner | None = None, **inputs: str) -> Ended:
        machine = machine or self.machine()
        ended = machine.run_action(command="plan", **{"comment": "true", **inputs})
        self.summary = machine.summary
        assert list((machine.folder / "temp").iterdir()) == [], "nothing is left behind"
        assert len(git(machine.workspace, "worktree", "list").splitlines()) == 1
        return ended

    @property
    def comment(self) -> str:
        (found,) = self.forge.comments
        return str(found["body"])

    @property
    def above(self) -> str:
        """What stands above the plan in the comment; the summary must have the same."""
        text = self.comment.partition(f"{HEADING}\n")[2].partition("\n### ")[0].strip()
        assert text in self.summary
        assert self.summary.index(HEADING) < self.summary.index("### Plan")
        return text


@pytest.fixture
def pull_request(repository, forge, runner) -> PullRequest:
    return PullRequest(repository, forge, runner)


def test_what_was_pending_anyway_is_counted_and_what_is_introduced_is_named(pull_request):
    pull_request.open({GDPR: manifest("doc-001", "doc-009")}, {GDPR: manifest("doc-001", "doc-002", "doc-003")})
    ended = pull_request.plan()
    assert not ended.failed, ended.log
    told = pull_request.above
    assert (
        "**Introduced: 2 to send, 0 to release. Pending anyway: 1 to send, 0 to release. "
        "Only in the plan of its base: 1 to send, 0 to release.**"
    ) in told
    introduced, _, gone = told.partition("only in the plan of its base</summary>")
    assert re.findall("doc-00[0-9]", introduced) == ["doc-002", "doc-003"]
    assert re.findall("doc-00[0-9]", gone) == ["doc-009"]
    assert f"the plan of commit `{pull_request.base}`" in told
    found = parse(pull_request.comment)
    assert found is not None
    assert [(each.commit, each.fingerprint) for each in found.plans] == [
        (pull_request.head, ended.outputs["fingerprint"])
    ]


def test_where_all_of_the_plan_is_introduced_its_ids_are_named_once(pull_request):
    pull_request.open({GDPR: manifest("doc-001").split("absent")[0] + "absent: []\n"}, {GDPR: manifest("doc-001")})
    assert not pull_request.plan().failed
    assert (
        "All that the plan below does is introduced here: nothing of it was pending anyway." in pull_request.above
    )
    assert "doc-001" not in pull_request.above
    assert "doc-001" in pull_request.comment


def test_a_pull_request_that_changes_no_manifest_introduces_nothing(pull_request):
    pull_request.open({GDPR: manifest("doc-001")}, {"README.md": "# other\n"})
    assert not pull_request.plan().failed
    assert "Nothing is introduced: all that the plan below does was pending anyway." in pull_request.above


def test_what_the_base_got_meanwhile_is_not_introduced_although_the_event_names_an_older_base(pull_request):
    pull_request.open(
        {GDPR: manifest("doc-001")},
        {"manifests/new.yaml": manifest("doc-002")},
        later={"manifests/later.yaml": manifest("doc-003")},
    )
    assert not pull_request.plan().failed
    assert "Introduced: 1 to send, 0 to release. Pending anyway: 2 to send" in pull_request.above
    assert f"the plan of commit `{pull_request.tip}`" in pull_request.above


def test_of_a_head_that_is_checked_out_itself_the_base_is_the_commit_that_both_have(pull_request):
    pull_request.open(
        {GDPR: manifest("doc-001")},
        {"manifests/new.yaml": manifest("doc-002")},
        later={"manifests/later.yaml": manifest("doc-003")},
    )
    machine = pull_request.machine(sha=pull_request.head, base=pull_request.tip)
    git(machine.workspace, "fetch", "--quiet", "--unshallow", "origin")
    ended = pull_request.plan(machine)
    assert not ended.failed, ended.log
    assert "Only in the plan of its base: 0 to send" in pull_request.above
    assert f"the plan of commit `{pull_request.base}`" in pull_request.above
    assert git(machine.workspace, "rev-parse", "--is-shallow-repository") == "false"


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ({GDPR: manifest("doc-001").replace("index:", "indx:")}, "`manifests/gdpr.yaml:4"),
        ({}, "no such file or folder"),
        ({GDPR: manifest("doc-001"), "reconciler.yaml": "version: 2\n"}, "the configuration cannot be used"),
    ],
)
def test_a_base_that_cannot_be_planned_fails_nothing_and_is_said_to_be_so(pull_request, base, words):
    pull_request.open(base, {GDPR: manifest("doc-001", "doc-002"), "reconciler.yaml": "version: 1\n"})
    ended = pull_request.plan()
    assert not ended.failed, ended.log
    assert (ended.outputs["exit-code"], ended.outputs["deletes"]) == ("0", "2")
    told = pull_request.above
    assert f"**It is not known: its base `{pull_request.base}` could not be planned.**" in told
    assert words in told
    assert "The plan below is whole all the same" in told
    assert "the base of the pull request could not be planned" in ended.log
    assert parse(pull_request.comment).plans[0].fingerprint == ended.outputs["fingerprint"]


def test_a_base_that_cannot_be_fetched_fails_nothing(pull_request):
    pull_request.open({GDPR: manifest("doc-001")}, {GDPR: manifest("doc-001", "doc-002")})
    ended = pull_request.plan(pull_request.machine(sha=pull_request.head, base="d" * 40))
    assert not ended.failed, ended.log
    assert "its commit cannot be fetched" in pull_request.above


@pytest.mark.parametrize("base", ["", "--upload-pack=touch pwned", "main", "$(touch pwned)"])
def test_a_base_that_is_not_the_name_of_a_commit_is_asked_of_nobody(pull_request, base):
    pull_request.open({GDPR: manifest("doc-001")}, {GDPR: manifest("doc-001", "doc-002")})
    machine = pull_request.machine(sha=pull_request.head)
    machine.event["pull_request"]["base"]["sha"] = base
    ended = pull_request.plan(machine)
    assert not ended.failed, ended.log
    assert "the event does not name the base" in pull_request.above
    assert not list(machine.workspace.glob("pwned"))


def test_manifests_that_cannot_be_used_are_told_and_compared_with_nothing(pull_request):
    pull_request.open({GDPR: manifest("doc-001")}, {GDPR: "version: 2\n"})
    ended = pull_request.plan()
    assert ended.failed
    assert HEADING not in pull_request.comment + pull_request.summary
    assert "No plan" in pull_request.summary


def test_the_base_is_not_planned_where_that_is_not_wanted(pull_request):
    pull_request.open({GDPR: manifest("doc-001")}, {GDPR: manifest("doc-001", "doc-002")})
    ended = pull_request.plan(compare="false")
    assert "introduced" not in ended.ran
    assert HEADING not in pull_request.comment + pull_request.summary
    assert ended.outputs["fingerprint"] in pull_request.summary


def test_another_event_than_a_pull_request_has_no_base(pull_request):
    pull_request.open({GDPR: manifest("doc-001")}, {GDPR: manifest("doc-001", "doc-002")})
    ended = pull_request.plan(pull_request.machine(event_name="push", ref="refs/heads/main"), comment="false")
    assert "introduced" not in ended.ran
    assert ended.outputs["fingerprint"] in pull_request.summary


def test_the_base_is_planned_with_its_own_files_in_the_same_folder_against_the_state_of_the_head(
    pull_request, monkeypatch
):
    """A state in the working folder, which the other checkout has not; a configuration of each."""
    pull_request.open(
        {"erasures/m/a.yaml": manifest("doc-001"), "erasures/r.yaml": "version: 1\nmanifests: m\n"},
        {"erasures/n/b.yaml": manifest("doc-002"), "erasures/r.yaml": "version: 1\nmanifests: [m, n]\n"},
    )
    machine = pull_request.machine()
    monkeypatch.chdir(machine.workspace / "erasures")
    assert run(["state", "init"]) == 0
    ended = pull_request.plan(machine, working_directory="erasures", config="r.yaml")
    assert not ended.failed, ended.log
    assert "Introduced: 1 to send, 0 to release. Pending anyway: 1 to send" in pull_request.above
    assert "different places of the state" not in pull_request.above


@pytest.mark.parametrize("name", ["paths", "config"])
def test_files_that_are_not_of_the_base_are_not_taken_for_it(pull_request, name):
    pull_request.open({GDPR: manifest("doc-001")}, {GDPR: manifest("doc-002"), "r.yaml": "version: 1\n"})
    machine = pull_request.machine()
    given = {"paths": machine.workspace / "manifests", "config": machine.workspace / "r.yaml"}[name]
    ended = pull_request.plan(machine, **{name: str(given)})
    assert not ended.failed, ended.log
    assert "could not be planned" in pull_request.above
    assert "leads out of its files" in pull_request.above


def test_the_live_index_is_read_for_the_base_as_for_the_head(pull_request, service):
    pull_request.open({GDPR: manifest("doc-001", "gone-1")}, {GDPR: manifest("doc-001", "doc-002", "gone-1")})
    machine = pull_request.machine(environment={"CLOUDFLARE_API_TOKEN": "v1-0123456789abcdef-SECRET"})
    ended = pull_request.plan(machine, refresh="true")
    assert not ended.failed, ended.log
    assert "Introduced: 1 to send, 0 to release. Pending anyway: 1 to send" in pull_request.above
    assert "found absent already | 0 | 1 | 0 |" in pull_request.above
    assert "read for one of the plans alone" not in pull_request.above


def test_the_base_of_a_private_repository_is_fetched_with_the_token_and_no_other_credentials(pull_request):
    pull_request.open({GDPR: manifest("doc-001")}, {GDPR: manifest("doc-001", "doc-002")})
    machine = pull_request.machine()
    with serving(pull_request.repository.bare, pull_request.forge.token) as served:
        git(machine.workspace, "remote", "set-url", "origin", f"{served.url}/origin.git")
        git(machine.workspace, "config", f"http.{served.url}/.extraheader", "AUTHORIZATION: basic b2xkOm9sZA==")
        ended = pull_request.plan(machine_at(machine, served.url))
    assert "Introduced: 1 to send" in pull_request.above
    assert served.headers
    assert all(len(sent) == 1 for sent in served.headers)
    assert pull_request.forge.token not in ended.log + machine.summary


def machine_at(machine: Runner, server: str) -> Runner:
    """`machine`, as a server that is not github.com would start it."""
    variables = machine._variables
    machine._variables = lambda files: {**variables(files), "GITHUB_SERVER_URL": server}  # type: ignore[method-assign]
    return machine


def test_hostile_and_many_ids_of_both_sides_fit_one_comment_with_every_number(pull_request):
    base = [f"b{n:04}`|@everyone<b>{'x' * 30}" for n in range(3_000)]
    head = [f"h{n:04}`|@everyone<b>{'x' * 30}" for n in range(3_000)]
    pull_request.open({GDPR: manifest(*base)}, {GDPR: manifest(*base[:1_000], *head)})
    ended = pull_request.plan()
    assert not ended.failed, ended.log
    assert len(pull_request.comment) < LONGEST
    assert "Introduced: 3,000 to send, 0 to release. Pending anyway: 1,000 to send" in pull_request.above
    assert "2,000 ids to delete" in pull_request.above.partition("only in the plan of its base</summary>")[2]
    assert len(pull_request.above.encode()) < 15_000
    shown = pull_request.comment.partition("end of record -->")[2]
    assert len(shown.encode()) <= PLAN_BYTES + 10
    for renderer in RENDERERS:
        assert acts(rendered(shown, renderer)) == []


# From the command line.


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_reasons_of_a_base_that_cannot_be_planned_act_in_no_host(renderer):
    for text in hostile.STRINGS:
        page = rendered(unknown([text, f"m.yaml:3: {text}"], text), renderer)
        assert acts(page) == []
        assert page.names <= {"h3", "p", "strong", "code", "ul", "li", "blockquote", "div"}  # an alert may be one
    many = unknown([text * 50 for text in hostile.STRINGS] * 9, "a" * 40)
    assert len(many.encode()) < LEAST_BYTES
    assert f"and {len(hostile.STRINGS) * 9 - 8} more lines" in many


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder, ids in (("manifests", ["a", "b"]), ("base/manifests", ["a"])):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "m.yaml").write_text(manifest(*ids))
    assert run(["plan", "--out", "p.json", "--format", "gitlab"]) == 0
    return tmp_path


def test_a_plan_that_was_altered_is_compared_with_nothing(saved, capsys):
    text = (saved / "p.json").read_text().replace('"a"', '"c"')
    (saved / "p.json").write_text(text)
    assert read("p.json")
    assert run(["forge", "introduced", "p.json", "--tree", "base"]) == 0
    assert "does not agree with its own fingerprint" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --tree or --unplanned"),
        (["--tree", "base", "--unplanned", "x"], "give --tree or --unplanned"),
        (["--tree", "base", "--commit", "main"], "not the name of a commit"),
        (["--tree", "base", "--max-bytes", "100"], "too small"),
    ],
)
def test_a_slip_is_told(saved, capsys, arguments, words):
    assert run(["forge", "introduced", "p.json", *arguments]) == 1
    assert words in capsys.readouterr().err


def test_what_the_command_writes(saved, capsys, golden):
    capsys.readouterr()
    assert run(["forge", "introduced", "p.json", "--tree", "base", "--commit", "c" * 40]) == 0
    golden("introduced.md", capsys.readouterr().out)
    (saved / "base" / "manifests" / "m.yaml").write_text("version: 2\nabsent: {}\n")
    assert run(["forge", "introduced", "p.json", "--tree", "base", "--commit", "c" * 40]) == 0
    golden("introduced.unknown.md", capsys.readouterr().out)
    assert json.loads((saved / "p.json").read_text())["summary"]["delete"] == 2

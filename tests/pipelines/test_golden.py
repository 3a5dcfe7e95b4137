"""What people read of pipelines, as files to look at: UPDATE_GOLDEN=1 writes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cli.app import run
from reconciler.forge import issue as issues
from reconciler.forge.comment import Comment, PlanMade, Status
from reconciler.forge.note import indented, planned
from reconciler.forge.outcome import markdown, read_events
from support.repository import git

FINGERPRINT = "sha256:" + "5" * 64
PLAN = f"<!-- vectorize-reconciler plan fingerprint={FINGERPRINT} -->\n\n### Plan: 2 to delete\n\n| `-` | 2 |\n"
AT = "2026-11-27T03:00:00Z"
RUN = "https://github.com/acme/erasures/actions/runs/4711/attempts/1"
STALE = """Error: the plan is not the approved one: expected sha256:4…, this is sha256:5…
  manifests/gdpr.yaml has changed
  docs: 1 id more to delete, such as `doc-003`
  Nothing was sent. Review the plan as it is now, and approve its fingerprint.
"""


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        ("applied", "2 ids accepted, 2 verified absent, 0 pending\nState head: 9:bde7f4f9\n"),
        ("not-applied", STALE),
        ("plan-failed", "Error: 2 problems found.\n"),
    ],
)
def test_the_comment(state, detail, golden):
    comment = Comment().planned(PLAN).remembering(PlanMade("2026-11-27T02:00:00Z", "a" * 40, FINGERPRINT))
    golden(f"comment.{state}.md", replace(comment, status=Status(state, AT, RUN, detail)).text())


def test_the_note_after_a_merge_that_brought_another_plan(golden):
    before = planned(Comment(), PLAN, after_merge=False)
    after = planned(before, PLAN.replace("5" * 64, "6" * 64), after_merge=True)
    job = "https://gitlab.com/acme/erasures/-/jobs/4711"
    status = Status("not-applied", AT, job, indented(STALE))
    golden("note.replanned.md", after.text())
    golden("note.not-applied.md", replace(after, status=status).text())


def test_the_issue(golden):
    declared = [{"path": "manifests/gdpr.yaml", "line": 7, "reason": "GDPR Art. 17, PRIV-4711"}]
    ids = ["doc-000017#chunk-00", "a|b`@everyone <b>", "user-829/\u202etxt"]
    base = {
        "account_id": "023e105f4ecef8ad9ca31a8372d0c353",
        "index": "docs",
        "proven_at": AT,
        "declared": declared,
    }
    found = [{**base, "id": each} for each in ids] + [{**base, "id": "never", "proven_at": None, "declared": []}]
    outcome = read_events([json.dumps({"type": "summary", "reappeared": 1_204, "found": found})])
    golden("issue.md", issues.body(outcome, name="", at=AT, run_url=RUN))


def test_the_summary_of_a_step(golden):
    lines = [
        '{"type": "diagnostic", "severity": "error", "summary": "docs: 100 ids rejected <b> @everyone"}',
        '{"type": "summary", "message": "146 ids accepted, 146 verified absent, 0 pending", "head": "9:bde7f4f9"}',
    ]
    golden("summary.md", "\n".join(markdown(read_events(lines))))


@pytest.mark.parametrize("name", ["new", "there"])
def test_what_init_says(name, golden, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("reconciler.cli.scaffolding._source", lambda _: None)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    monkeypatch.chdir(tmp_path)
    if name == "there":
        for each, text in {
            ".gitignore": "*.pyc\n*.plan.json\n", ".pre-commit-config.yaml": "repos: []\n",
            "manifests/deployment.yaml": "kind: Deployment\n",
        }.items():  # fmt: skip
            Path(each).parent.mkdir(exist_ok=True)
            Path(each).write_text(text)
    assert run(["init", "--ci", "github", "--pre-commit"]) == 0
    golden(f"init.{name}.txt", capsys.readouterr().out)

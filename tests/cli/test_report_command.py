"""`reconciler state report`."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from reconciler import resources


@pytest.fixture
def applied(cli, project, seed):
    """Two manifests that were applied: `gdpr` (PRIV-1) and `many` (PRIV-2)."""
    seed([*project.declare_many(3), "a", "b"])
    project.declare(["a", "b"])
    assert cli("apply", "--auto-approve").code == 0
    return project


def test_the_first_line_answers_a_ticket_offline(applied, cli, monkeypatch):
    for name in ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_BASE_URL"):
        monkeypatch.delenv(name)
    before = applied.frames()
    ended = cli("state", "report", "--reason", "priv-1")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Done: all 2 ids of 1 declaration were found absent by a read, the last at ")
    assert "manifests/gdpr.yaml:4  PRIV-1\n" in ended.out
    assert "PRIV-2" not in ended.out
    assert applied.frames() == before


def test_the_json_fits_its_schema(applied, cli):
    ended = cli("state", "report", "--format", "json")
    Draft202012Validator(resources.schema("report")).validate(ended.json)
    assert ended.json["done"]
    assert ended.json["store"] == "file:reconciler.state.jsonl" or ended.json["store"].startswith("file:")
    assert [(each["reason"], each["ids"]) for each in ended.json["declarations"]] == [("PRIV-1", 2), ("PRIV-2", 3)]
    last = applied.frames()[-1]
    assert (ended.json["position"], ended.json["head"]) == (last["pos"], last["hash"])


def test_markdown_for_a_ticket_names_the_mutation(applied, cli):
    (first,) = cli("state", "report", "--manifest", "manifests/gdpr.yaml", "--format", "json").json["declarations"]
    ended = cli("state", "report", "--manifest", "manifests/gdpr.yaml", "--format", "markdown")
    assert ended.out.startswith("**Done:** ")
    assert f"| `{first['mutations'][0]['mutation_id']}` | verified |" in ended.out


def test_a_second_ticket_for_ids_that_are_gone_is_answered_after_an_apply_that_sends_nothing(applied, cli):
    applied.write(
        "manifests/second.yaml",
        'version: 1\naccount_id: "023e105f4ecef8ad9ca31a8372d0c353"\n'
        "absent:\n  - index: docs\n    reason: PRIV-3\n    ids: [a]\n",
    )
    assert cli("state", "report", "--reason", "PRIV-3").code == 1
    ended = cli("apply", "--auto-approve")
    assert ended.code == 0
    assert (
        "Nothing was sent; 0 requests in all.\nRecorded: 1 declaration, as now declared.\nState head: "
        in ended.out
    )
    assert cli("state", "report", "--reason", "PRIV-3").out.startswith("Done: all 1 id of 1 declaration ")


def test_what_is_not_done_is_still_a_report(cli, project, service):
    service.emulator.seed("023e105f4ecef8ad9ca31a8372d0c353", "docs", ["a", "b", "c"])
    project.declare(["a", "b"])
    cli("apply", "--auto-approve")
    service.emulator.seed("023e105f4ecef8ad9ca31a8372d0c353", "docs", ["a"])
    assert cli("verify", "--all").code == 4
    ended = cli("state", "report")
    assert ended.code == 0
    assert ended.out.startswith("Not done: of 2 ids, 1 present again.\n")
    assert cli("state", "report", "--format", "json").json["declarations"][0]["open"]["reappeared"] == ["a"]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--reason", "PRIV-9"), "Recorded reasons: 'PRIV-1', 'PRIV-2'."),
        (("--manifest", "gdpr.yaml"), "Recorded manifests: 'manifests/gdpr.yaml', 'manifests/many.yaml'."),
        (("--index", "users"), "Recorded indexes: 'docs'."),
    ],
)
def test_a_choice_that_matches_nothing_is_an_error_that_names_what_there_is(arguments, hint, applied, cli):
    ended = cli("state", "report", *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert hint in ended.err


def test_an_error_names_at_most_twenty_of_what_there_is(cli, project, seed):
    reasons = [f"ticket {n:02}" for n in range(23)]
    entries = "".join(f"  - index: docs\n    reason: {r}\n    ids: [id-{n}]\n" for n, r in enumerate(reasons))
    project.write(
        "manifests/m.yaml", f'version: 1\naccount_id: "023e105f4ecef8ad9ca31a8372d0c353"\nabsent:\n{entries}'
    )
    seed([f"id-{n}" for n in range(23)])
    assert cli("apply", "--auto-approve").code == 0
    ended = cli("state", "report", "--reason", "nobody")
    assert "'ticket 19' and 3 more." in ended.err
    assert "ticket 20" not in ended.err


@pytest.mark.parametrize("arguments", [("--reason", ""), ("--manifest", ""), ("--reason", "a", "--manifest", "b")])
def test_a_choice_that_says_nothing_or_too_much_is_refused(arguments, applied, cli):
    assert cli("state", "report", *arguments).code == 1


@pytest.mark.parametrize("content", [None, ""])
def test_without_a_state_there_is_nothing_to_answer_with(content, cli, project):
    if content is not None:
        project.write("reconciler.state.jsonl", content)
    ended = cli("state", "report")
    assert (ended.code, ended.out) == (1, "")
    assert "there is no state at" in ended.err


def test_a_state_without_a_declaration_says_so(cli, project):
    cli("state", "init")
    ended = cli("state", "report")
    assert ended.code == 1
    assert "the state records no declaration" in ended.err


def test_a_damaged_state_is_not_reported_from(applied, cli):
    path = applied.folder / "reconciler.state.jsonl"
    path.write_text(path.read_text().replace("PRIV-1", "PRIV-7"))
    ended = cli("state", "report")
    assert (ended.code, ended.out) == (1, "")
    assert "damaged" in ended.err


def test_a_state_that_was_moved_says_that_it_is_history(applied, cli):
    cli("state", "migrate", "--to", "file:elsewhere.jsonl")
    old, new = cli("state", "report"), cli("state", "report", "--state", "file:elsewhere.jsonl")
    assert old.code == new.code == 0
    assert "this state was moved to" in old.err
    assert new.err == ""
    assert json.dumps(old.out.splitlines()[0]) == json.dumps(new.out.splitlines()[0])

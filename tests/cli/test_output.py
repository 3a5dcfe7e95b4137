"""What stands where: results on stdout and nothing else there, everything else on stderr, secrets nowhere."""

from __future__ import annotations

import json
import stat

import pytest
from jsonschema import Draft202012Validator

from reconciler import resources
from reconciler.clock import SystemClock
from reconciler.emulator import Fault

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
TOKEN = "v1-0123456789abcdef-SECRET"


@pytest.fixture
def applied(cli, project, seed):
    ids = [f"doc-{n:03d}" for n in range(250)]
    project.declare(ids)
    seed(ids)
    ended = cli("apply", "--auto-approve", "--format", "json")
    assert ended.code == 0
    return ended


def test_the_plan_on_stdout_is_the_plan_in_the_file(cli, project):
    project.declare(["a", "ü", "x" * 64])
    ended = cli("plan", "--format", "json", "--out", "erasure.plan")
    assert (project.folder / "erasure.plan").read_text() == ended.out
    assert stat.S_IMODE((project.folder / "erasure.plan").stat().st_mode) == 0o600
    assert cli("show", "erasure.plan", "--format", "json").out == ended.out
    Draft202012Validator(resources.schema("plan")).validate(ended.json)


def test_a_plan_shown_again_reads_as_it_did(cli, project):
    project.declare(["a"])
    assert cli("plan", "--out", "p").out == cli("show", "p").out
    assert cli("plan", "--verbose").out == cli("show", "p", "--verbose").out


def test_events_are_json_lines_and_fit_their_schema(applied):
    validator = Draft202012Validator(resources.schema("events"))
    for event in applied.events:
        validator.validate(event)
    kinds = [event["type"] for event in applied.events]
    assert kinds[0] == "version"
    assert kinds[-1] == "summary"
    assert kinds.count("batch_submitted") == 3
    assert applied.event("plan")["summary"]["delete"] == 250
    assert applied.err == ""
    summary = applied.event("summary")
    assert (summary["accepted"], summary["verified"], summary["exit_code"]) == (250, 250, 0)


def test_every_mutation_id_of_the_service_is_in_the_state(applied, cli, service):
    given = {each.mutation_id for each in service.emulator.mutations(ACCOUNT, "docs")}
    told = {event["mutation_id"] for event in applied.events if event["type"] == "batch_submitted"}
    (index,) = cli("state", "show", "--format", "json").json["indexes"]
    known = {each["mutation_id"] for each in index["mutations"]}
    assert told == known
    assert known <= given
    assert all(each in cli("state", "show").out for each in known)


def test_the_state_as_json_has_the_shape_that_others_rely_on(applied, cli):
    document = cli("state", "show", "--format", "json").json
    assert list(document)[:4] == ["lineage", "position", "head", "indexes"]
    (index,) = document["indexes"]
    assert (index["account_id"], index["index"]) == (ACCOUNT, "docs")
    assert index["counts"] == {
        "unresolved": 0, "accepted": 0, "processed": 0, "verified": 250, "reappeared": 0, "released": 0,
    }  # fmt: skip
    assert [len(each["ids"]) for each in index["mutations"]] == [100, 100, 50]
    assert {each["status"] for each in index["mutations"]} == {"verified"}
    assert all(each["submitted_at"].endswith("Z") for each in index["mutations"])
    head = f"{document['position']}:{document['head']}"
    assert cli("state", "verify", "--head", head).code == 0
    assert head in cli("state", "show").out


def test_a_batch_without_an_answer_has_no_mutation_id(cli, project, service, seed, monkeypatch):
    monkeypatch.setattr(SystemClock, "jitter", lambda clock, ceiling: 0.0)  # tried again at once
    project.declare(["a"])
    seed(["a"])
    service.emulator.faults.add(Fault(kind="null_mutation", operation="delete_by_ids", times=None))
    ended = cli("apply", "--auto-approve", "--no-wait")
    assert ended.code == 1
    assert "Unknown: 1 id." in ended.out
    (index,) = cli("state", "show", "--format", "json").json["indexes"]
    assert index["counts"]["unresolved"] == 1
    assert [each["mutation_id"] for each in index["mutations"]] == [None]
    assert cli("plan", "--format", "json").json["summary"]["resend"] == 1


def test_the_history_of_one_id_as_text_and_json(applied, cli):
    text = cli("state", "show", "--id", "doc-000")
    assert text.code == 0
    assert "intent" in text.out
    assert "verified" in text.out
    kinds = [each["what"] for each in cli("state", "show", "--id", "doc-000", "--format", "json").json["history"]]
    assert kinds[0] == "intent"
    assert kinds[-1] == "verified"
    assert cli("state", "show", "--id", "never-heard-of", "--format", "json").json == {"history": []}


def test_one_index_alone(cli, project, seed):
    project.declare(["a"])
    project.declare(["b"], index="other", name="other")
    seed(["a"])
    seed(["b"], index="other")
    cli("apply", "--auto-approve")
    shown = cli("state", "show", "--index", "other", "--format", "json").json["indexes"]
    assert [each["index"] for each in shown] == ["other"]
    planned = cli("plan", "--target", "other", "--format", "json").json
    assert planned["complete"] is False


@pytest.mark.parametrize("content", [None, ""])
def test_a_state_that_is_not_there_yet_is_no_error_to_look_at(content, cli, project):
    if content is not None:
        project.write("reconciler.state.jsonl", content)
    shown = cli("state", "show", "--format", "json")
    assert shown.code == 0
    assert (shown.json["position"], shown.json["indexes"]) == (0, [])
    assert "no state at file:reconciler.state.jsonl" in shown.err
    for command in ("show", "verify"):
        ended = cli("state", command)
        assert ended.code == 0
        assert "no state at file:reconciler.state.jsonl" in ended.err
    assert "Traceback" not in ended.err


def test_a_remembered_head(applied, cli, project):
    head = applied.event("summary")["head"]
    assert cli("state", "verify", "--head", head).code == 0
    position, _, digest = head.partition(":")
    wrong = ("0" if digest[0] != "0" else "1") + digest[1:]
    ended = cli("state", "verify", "--head", f"{position}:{wrong}")
    assert ended.code == 1
    assert "the state is another" in ended.err
    ended = cli("state", "verify", "--head", f"{int(position) + 1}:{digest}")
    assert ended.code == 1
    assert "went backwards" in ended.err
    for nonsense in ("", "12", "x:y", f"-1:{digest}", f"{position}:{digest[:12]}", digest):
        ended = cli("state", "verify", "--head", nonsense)
        assert (ended.code, ended.out) == (1, "")
        assert "not a head" in ended.err


def test_damage_is_an_error_of_every_command_that_reads_the_state(applied, cli, project):
    path = project.folder / "reconciler.state.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"doc-001", b"doc-999").replace(b'"run_started"', b'"run_stopped"')
    path.write_bytes(b"".join(lines))
    for arguments in (("plan",), ("state", "show"), ("state", "verify"), ("verify",), ("apply", "--auto-approve")):
        ended = cli(*arguments)
        assert ended.code == 1
        assert ended.out == ""
        assert ended.err.startswith("Error: ")


def test_state_init_never_touches_a_state_that_is_there(cli, project):
    ended = cli("state", "init")
    assert ended.code == 0
    assert ended.out.startswith("Created the state file:reconciler.state.jsonl\nState head: 1:")
    before = (project.folder / "reconciler.state.jsonl").read_bytes()
    assert cli("state", "init").code == 1
    assert (project.folder / "reconciler.state.jsonl").read_bytes() == before


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_validate_reports_every_problem_in_the_asked_form(form, cli, project):
    project.declare(["a", "x" * 65])
    project.write("manifests/other.yaml", "version: 1\nabsent:\n\t- index: docs\n")
    ended = cli("validate", "--format", form)
    assert ended.code == 1
    assert ended.err.endswith("Error: 2 problems found.\n")
    if form == "json":
        assert (ended.json["valid"], ended.json["error_count"]) == (False, 2)
        assert {each["path"] for each in ended.json["diagnostics"]} == {
            "manifests/gdpr.yaml",
            "manifests/other.yaml",
        }
    elif form == "github":
        assert [line.split(",")[0] for line in ended.out.splitlines()] == [
            "::error file=manifests/gdpr.yaml", "::error file=manifests/other.yaml",
        ]  # fmt: skip
    else:
        assert ended.out == ""
        assert "manifests/gdpr.yaml:8:9: error: " in ended.err
        assert "manifests/other.yaml:3:1: error: " in ended.err


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_validate_reports_a_broken_configuration_like_any_other_problem(form, cli, project):
    project.declare(["a"])
    project.write("reconciler.yaml", "version: 1\nlimts: {}\n")
    ended = cli("validate", "--format", form)
    assert ended.code == 1
    assert "reconciler.yaml" in (ended.err if form == "text" else ended.out)
    if form == "json":
        assert ended.json["valid"] is False


def test_validate_counts_manifests_and_not_the_files_they_name(cli, project):
    project.declare_many(3)
    project.declare(["x"], keep=["y"])
    ended = cli("validate")
    assert ended.out == "Valid: 2 manifests with 4 ids to be absent from 1 index.\n"
    assert cli("validate", "--format", "json").json["manifests"] == 2
    assert cli("validate", "--format", "github").out == ""


def test_a_plan_of_broken_manifests_shows_no_part_of_a_plan_as_if_it_were_one(cli, project):
    project.declare(["a"])
    project.write("manifests/other.yaml", "version: 1\nabsent: 7\n")
    ended = cli("plan")
    assert (ended.code, ended.out) == (1, "")
    assert "manifests/other.yaml:2" in ended.err
    ended = cli("plan", "--format", "json")
    assert (ended.code, ended.json["errored"], ended.json["applyable"]) == (1, True, False)


def test_json_of_a_refused_or_failed_apply_says_why_on_stdout_too(cli, project, service):
    project.declare(["a", "b"])
    project.write("reconciler.yaml", "version: 1\nlimits:\n  max_deletes: 1\n")
    ended = cli("apply", "--auto-approve", "--format", "json")
    assert ended.code == 3
    said = [each for each in ended.events if each["type"] == "diagnostic"]
    assert {each["severity"] for each in said} == {
        "refusal",
        "error",
        "warning",
    }  # the first deletion on this index
    Draft202012Validator(resources.schema("events")).validate(said[-1])
    assert "Error: the plan is refused" in ended.err


@pytest.mark.parametrize("arguments", [("plan", "--refresh"), ("apply", "--auto-approve"), ("apply", "p")])
def test_missing_credentials_are_named_before_anything_is_written_or_asked(
    arguments, cli, project, service, monkeypatch
):
    project.declare(["a"])
    cli("plan", "--out", "p")
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN")
    ended = cli(*arguments, stdin="yes\n")
    assert ended.code == 1
    assert "CLOUDFLARE_API_TOKEN" in ended.err
    assert "CLOUDFLARE_API_KEY and CLOUDFLARE_EMAIL" in ended.err
    assert "Enter a value" not in ended.err
    assert project.names == ["manifests", "p"]
    assert service.emulator.record() == []


def test_nobody_is_asked_to_approve_what_could_not_be_done(cli, project, service, monkeypatch):
    project.declare(["a"])
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "")
    ended = cli("apply", stdin="yes\n")
    assert ended.code == 1
    assert "Enter a value" not in ended.err


def test_manifests_that_cannot_be_used_leave_no_state_behind(cli, project, service):
    project.declare(["a"], more="nonsense: 1\n")
    assert cli("apply", "--auto-approve").code == 1
    assert project.names == ["manifests"]


def test_a_new_state_is_announced_and_missed_before_it_is_made(cli, project, seed):
    project.declare(["a"])
    seed(["a"])
    ended = cli("apply", "--auto-approve")
    assert "there is no state yet: planned from empty" in ended.out
    assert "a new state was created at file:reconciler.state.jsonl" in ended.err
    assert "created" not in cli("apply", "--auto-approve").err


def test_the_token_is_nowhere_even_if_the_server_echoes_it(cli, project, service, seed):
    project.declare(["a", "b"])
    seed(["a", "b"])
    for operation in ("delete_by_ids", "info"):
        service.emulator.faults.add(
            Fault(kind="error", operation=operation, status=400, code=40026, message=f"bad token Bearer {TOKEN}")
        )
    said = [cli("plan", "--out", "p"), cli("apply", "p", "--format", "json")]
    said += [
        cli("apply", "--auto-approve"),
        cli("plan", "--refresh"),
        cli("verify", "--all"),
        cli("state", "show"),
    ]
    service.emulator.faults.add(
        Fault(kind="error", operation="info", status=401, code=10000, message=f"Bearer {TOKEN} is unknown")
    )
    said += [cli("verify", "--all", "--format", "json"), cli("state", "show", "--id", "a", "--format", "json")]
    assert {each.code for each in said} == {0, 1}
    for ended in said:
        assert TOKEN not in ended.out + ended.err
    for path in project.folder.rglob("*"):
        assert path.is_dir() or TOKEN not in path.read_text()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://bucket/prefix", "there are no credentials for it"),
        ("postgresql://user:pa55word@127.0.0.1:1/state", "postgresql://user@127.0.0.1:1/state could not be"),
        ("postgres://user:pa55word@127.0.0.1:1/state", "postgresql://user@127.0.0.1:1/state could not be"),
        ("postgres://user:pa/55word@127.0.0.1:1/state", "not the URL of a database"),
    ],
)
def test_a_store_that_cannot_be_reached_is_named_without_its_password(url, said, cli, project, monkeypatch):
    project.declare(["a"])
    monkeypatch.setenv("RECONCILER_STATE", url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for arguments in (("plan",), ("state", "show"), ("state", "init"), ("verify",), ("apply", "--auto-approve")):
        ended = cli(*arguments)
        assert (ended.code, ended.out) == (1, "")
        assert said in ended.err
        assert "55word" not in ended.err


@pytest.mark.parametrize(
    "url",
    ["http://api.example.com/client/v4", "ftp://127.0.0.1", "https://user:pa55word@example.com/client/v4", "x"],
)
def test_credentials_go_nowhere_that_is_not_https_or_loopback(url, cli, project, monkeypatch):
    project.declare(["a"])
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    ended = cli("apply", "--auto-approve", "--base-url", url)
    assert (ended.code, ended.out) == (1, "")
    assert "pa55word" not in ended.err
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", url)
    assert cli("plan", "--refresh").code == 1


def test_the_flag_wins_over_the_environment_and_that_over_the_configuration(cli, project, monkeypatch):
    project.write("reconciler.yaml", "version: 1\nstate: file:configured.jsonl\n")
    cli("state", "init")
    monkeypatch.setenv("RECONCILER_STATE", "file:environment.jsonl")
    cli("state", "init")
    cli("state", "init", "--state", "file:flag.jsonl")
    assert {"configured.jsonl", "environment.jsonl", "flag.jsonl"} <= set(project.names)


def test_a_hostile_id_acts_on_no_terminal_and_no_runner(cli, project, seed):
    hostile = ["\x1b[2Jgone", "::error::x", "a\nb", "\u202egnp.exe", "##[command]x"]
    project.declare(hostile)
    seed(hostile)
    ended = cli("plan", "--verbose")
    said = ended.out + ended.err
    said += cli("apply", "--auto-approve").out + cli("state", "show").out
    said += cli("check-ids", "docs", stdin="\x1b[2Jgone\n\u202egnp.exe\n").out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert not [line for line in said.splitlines() if line.lstrip().startswith(("::", "b\n"))]
    assert json.loads(cli("plan", "--format", "json").out)

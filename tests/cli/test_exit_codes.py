"""Each exit code, reached from outside. They are a public contract: pipelines branch on them."""

from __future__ import annotations

import json

import pytest

from reconciler.emulator import Fault


def test_0_no_changes_and_work_that_ended_well(cli, project, seed):
    project.declare(["a", "b"])
    seed(["a", "b"])
    assert cli("plan").code == 0
    assert cli("apply", "--auto-approve").code == 0
    assert cli("plan", "--detailed-exitcode").code == 0
    assert cli("apply", "--auto-approve").code == 0
    assert cli("verify").code == 0
    assert cli("verify", "--all").code == 0


def test_2_only_where_it_was_asked_for(cli, project):
    project.declare(["a"])
    assert cli("plan").code == 0
    assert cli("plan", "--detailed-exitcode").code == 2
    assert cli("plan", "--detailed-exitcode", "--format", "json", "--out", "p").code == 2


def test_a_release_is_a_change(cli, project, seed):
    project.declare(["a", "b"])
    seed(["a", "b"])
    cli("apply", "--auto-approve")
    project.declare(["a"])
    assert cli("plan", "--detailed-exitcode").code == 2
    assert cli("apply", "--auto-approve").code == 0
    assert cli("plan", "--detailed-exitcode").code == 0


def test_a_prefix_that_was_never_listed_is_a_change(cli, project):
    project.declare(["a"], more='  - index: docs\n    reason: "p"\n    prefixes: ["user-1/"]\n')
    ended = cli("plan", "--detailed-exitcode", "--format", "json")
    assert ended.code == 2
    assert (ended.json["complete"], ended.json["applyable"]) == (False, False)


def test_waiting_alone_is_no_change(cli, project, start):
    project.declare(["a", "b"])
    service = start(lag=3600)
    service.emulator.seed("023e105f4ecef8ad9ca31a8372d0c353", "docs", ["a", "b"])
    assert cli("apply", "--auto-approve", "--no-wait").code == 0
    ended = cli("plan", "--detailed-exitcode", "--format", "json")
    assert ended.json["summary"]["confirm"] == 2
    assert ended.code == 0


def test_7_when_the_time_runs_out_before_the_proof(cli, project, start):
    project.declare(["a"])
    service = start(lag=3600)
    service.emulator.seed("023e105f4ecef8ad9ca31a8372d0c353", "docs", ["a"])
    assert cli("apply", "--auto-approve", "--timeout", "0").code == 7
    ended = cli("verify", "--timeout", "0")
    assert ended.code == 7
    assert "1 still waiting" in ended.out


@pytest.mark.parametrize("flags", [(), ("--detailed-exitcode",), ("--fail-on-reappeared", "--format", "json")])
def test_3_a_limit_refuses_plan_and_apply_alike(flags, cli, project, service):
    project.declare(["a", "b", "c"])
    project.write("reconciler.yaml", "version: 1\nlimits:\n  max_deletes: 2\n")
    ended = cli("plan", *flags)
    assert ended.code == 3
    assert "max_deletes" in ended.out
    assert "refused" in ended.err
    ended = cli("apply", "--auto-approve")
    assert ended.code == 3
    assert not (project.folder / "reconciler.state.jsonl").exists()
    assert service.emulator.record() == []


@pytest.mark.parametrize("arguments", [("plan",), ("apply", "--auto-approve")])
def test_what_is_refused_is_shown_whole_before_it_is_refused(arguments, cli, project, service):
    project.declare(["a", "b", "c"])
    project.write("reconciler.yaml", "version: 1\nlimits:\n  max_deletes: 2\n")
    ended = cli(*arguments)
    assert "- 3 ids to delete" in ended.out
    assert ended.out.index("to delete") < ended.out.index("All of this was planned, but")
    assert "max_deletes" in ended.err


def test_an_id_both_absent_and_kept_is_1_in_validate_and_3_in_plan_and_apply(cli, project, service):
    project.declare(["a", "b"], keep=["b"])
    for command, code in (("validate", 1), ("plan", 3), ("apply", 3)):
        ended = cli(command, *(["--auto-approve"] if command == "apply" else []))
        assert ended.code == code
        assert "manifests/gdpr.yaml:8" in ended.err, command
        assert "manifests/gdpr.yaml:13" in ended.err, command
    assert service.emulator.record() == []


def test_4_when_ids_are_back(cli, project, service, seed):
    project.declare(["a", "b"])
    seed(["a", "b"])
    cli("apply", "--auto-approve")
    seed(["b"], others=0)
    ended = cli("verify", "--all")
    assert ended.code == 4
    assert "  ! b\n" in ended.out
    assert cli("verify").code == 4  # known since, without a request
    assert cli("plan").code == 0
    assert cli("plan", "--detailed-exitcode").code == 2
    assert cli("plan", "--fail-on-reappeared").code == 4
    assert cli("plan", "--fail-on-reappeared", "--detailed-exitcode").code == 4
    assert cli("apply", "--auto-approve").code == 0
    assert cli("verify", "--all").code == 0


def test_check_ids_says_that_nothing_is_known_of_an_index_whose_name_may_be_mistyped(cli, project):
    project.declare(["a"])
    mistyped = cli("check-ids", "dosc", stdin="a\n")
    assert (mistyped.code, mistyped.out) == (0, "a\tfree\n")
    assert "no manifest declares and no state remembers an index named 'dosc'" in mistyped.err
    assert cli("check-ids", "docs", stdin="b\n").err == ""


def test_check_ids_4_only_for_what_is_declared_or_has_a_tombstone(cli, project, seed):
    project.declare(["a", "b"])
    seed(["a", "b"])
    cli("apply", "--auto-approve")
    project.declare(["a"])
    ended = cli("check-ids", "docs", stdin="a\r\nb\nfree\n\nlast")
    assert (ended.code, ended.err) == (4, "")
    assert ended.out == "a\tdeclared\nb\ttombstone\nfree\tfree\nlast\tfree\n"
    assert cli("check-ids", "docs", stdin="b\n").code == 4
    assert cli("check-ids", "docs", stdin="free\n").code == 0
    assert cli("check-ids", "docs", stdin="").code == 0
    assert cli("check-ids", "elsewhere", stdin="a\nb\n").code == 0


def test_check_ids_answers_for_prefixes_that_were_never_listed(cli, project):
    project.declare(["a"], more='  - index: docs\n    reason: "p"\n    prefixes: ["user-1/"]\n')
    ended = cli("check-ids", "docs", "--format", "json", stdin="user-1/x\nuser-11\n")
    assert ended.events == [{"id": "user-1/x", "status": "declared"}, {"id": "user-11", "status": "free"}]
    assert ended.code == 4


def test_check_ids_never_answers_from_manifests_it_cannot_read(cli, project):
    project.declare(["a"], more="nonsense: 1\n")
    ended = cli("check-ids", "docs", stdin="b\n")
    assert (ended.code, ended.out) == (1, "")


def test_check_ids_says_which_line_is_not_text(cli, project):
    project.declare(["a"])
    ended = cli("check-ids", "docs", stdin=b"b\n\xff\n")
    assert ended.code == 1
    assert "stdin, line 2: not UTF-8" in ended.err


def test_6_a_saved_plan_whose_manifests_changed(cli, project, service, seed):
    manifest = project.declare(["a", "b"])
    seed(["a", "b"])
    cli("plan", "--out", "p")
    manifest.write_text(manifest.read_text().replace('"b"', '"c"'))
    ended = cli("apply", "p")
    assert ended.code == 6
    assert "Plan again" in ended.err
    assert service.emulator.record(operation="delete_by_ids") == []


def test_6_when_what_was_approved_was_done_by_somebody_else(cli, project, seed):
    project.declare(["a", "b"])
    seed(["a", "b"])
    cli("state", "init")
    cli("plan", "--out", "p")
    assert cli("apply", "--auto-approve").code == 0
    project.declare(["a", "b"], name="other")
    assert cli("apply", "p").code == 6


@pytest.mark.parametrize("saved", [False, True])
def test_6_and_nothing_sent_when_the_fingerprint_is_another(saved, cli, project, service, seed):
    project.declare(["a"])
    seed(["a"])
    cli("plan", "--out", "p")
    what = ["p"] if saved else ["--auto-approve"]
    ended = cli("apply", *what, "--expect", "sha256:" + "0" * 64)
    assert ended.code == 6
    assert service.emulator.record() == []
    assert not (project.folder / "reconciler.state.jsonl").exists()


@pytest.mark.parametrize("saved", [False, True])
def test_the_expected_fingerprint_is_carried_out(saved, cli, project, seed):
    project.declare(["a"])
    seed(["a"])
    fingerprint = cli("plan", "--format", "json", "--out", "p").json["fingerprint"]
    what = ["p"] if saved else ["--auto-approve", "--approved", "p"]
    assert cli("apply", *what, "--expect", fingerprint).code == 0


def test_1_a_missing_index_never_looks_like_success(cli, project, service):
    project.declare(["a"])
    ended = cli("apply", "--auto-approve")
    assert ended.code == 1
    assert "docs" in ended.err
    assert cli("plan", "--refresh").code == 1
    assert cli("plan", "--refresh", "--detailed-exitcode").code == 1


def test_1_a_batch_that_is_finally_rejected(cli, project, service, seed):
    project.declare(["a"])
    seed(["a"])
    service.emulator.faults.add(Fault(kind="error", operation="delete_by_ids", status=400, code=40026))
    ended = cli("apply", "--auto-approve")
    assert ended.code == 1
    assert "Rejected: 1 id." in ended.out


def test_1_comes_before_7(cli, project, start):
    project.declare(["a"])
    project.declare(["z"], index="missing", name="other")
    service = start(lag=3600)
    service.emulator.seed("023e105f4ecef8ad9ca31a8372d0c353", "docs", ["a"])
    ended = cli("apply", "--auto-approve", "--timeout", "0")
    assert ended.code == 1
    assert "Waiting: 1 id" in ended.out


def test_1_comes_before_3(cli, project):
    project.declare(["a", "b", "c"], keep=["a"])
    project.write("manifests/broken.yaml", "version: 1\nabsent: 7\n")
    ended = cli("plan")
    assert ended.code == 1
    assert "manifests/broken.yaml:2" in ended.err


def test_3_comes_before_4_and_2(cli, project, seed):
    project.declare(["a", "b"])
    seed(["a", "b"])
    cli("apply", "--auto-approve")
    seed(["a", "b"], others=0)
    cli("verify", "--all")
    project.write("reconciler.yaml", "version: 1\nlimits:\n  max_deletes: 1\n")
    assert cli("plan", "--fail-on-reappeared", "--detailed-exitcode").code == 3


@pytest.mark.parametrize(
    "arguments",
    [("verify",), ("state", "unlock", "run", "--reason", "r"), ("state", "verify", "--head", "1:" + "0" * 64)],
)
def test_1_where_a_state_is_needed_and_there_is_none(arguments, cli, project, service):
    ended = cli(*arguments)
    assert ended.code == 1
    assert "there is no state at file:reconciler.state.jsonl" in ended.err


def test_require_state_refuses_to_begin_from_nothing(cli, project, service):
    project.declare(["a"])
    ended = cli("apply", "--auto-approve", "--require-state")
    assert ended.code == 1
    assert "state init" in ended.err
    assert not (project.folder / "reconciler.state.jsonl").exists()


def test_a_second_ticket_for_what_is_gone_is_a_change_until_it_is_recorded(cli, project, seed):
    project.declare(["a"])
    seed(["a", "b"])
    assert cli("apply", "--auto-approve").code == 0
    assert cli("plan", "--detailed-exitcode").code == 0
    second = project.declare(["a"], name="second")
    second.write_text(second.read_text().replace("PRIV-1", "ticket 2"))
    planned = cli("plan", "--detailed-exitcode", "--out", "p.json")
    assert planned.code == 2
    assert "Nothing to send. 1 declaration to record as now declared.\n" in planned.out
    assert "No changes" not in planned.out
    assert "To carry out exactly these actions" in planned.err
    document = json.loads((project.folder / "p.json").read_text())
    assert (document["unrecorded"], document["applyable"]) == (1, True)
    assert cli("apply", "p.json").code == 0
    assert cli("plan", "--detailed-exitcode").code == 0
    assert cli("state", "report", "--reason", "ticket 2").out.startswith("Done: ")

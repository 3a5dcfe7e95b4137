"""Interrupts, kills and a second process: nothing that was sent is forgotten, and the next run converges."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess

import pytest

from reconciler.emulator import Fault

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


@pytest.fixture
def slow(start, project):
    """An emulator that takes its time for each answer, and more to delete than can be in flight at once."""
    ids = project.declare_many(1_500)
    service = start()
    service.emulator.faults.add(Fault(kind="delay_after", operation="delete_by_ids", seconds=0.2, times=None))
    service.emulator.seed(ACCOUNT, "docs", [*ids, *(f"stays-{n}" for n in range(10))])
    project.write("reconciler.yaml", "version: 1\napi:\n  concurrency: 2\n")
    project.ids = ids
    return service


def _deletes(service):
    return service.emulator.record(operation="delete_by_ids")


def _converges(cli, service):
    """Running again ends the work: every id gone, nothing forgotten, the next plan empty."""
    service.emulator.faults.clear()
    ended = cli("apply", "--auto-approve")
    assert ended.code == 0, ended.err
    assert len(service.emulator.ids(ACCOUNT, "docs")) == 10
    assert cli("plan", "--detailed-exitcode").code == 0
    known = {
        each["mutation_id"] for each in cli("state", "show", "--format", "json").json["indexes"][0]["mutations"]
    }
    assert {
        each.mutation_id
        for each in service.emulator.mutations(ACCOUNT, "docs")
        if each.operation.startswith("delete")
    } >= known - {None}


@pytest.mark.fault(25)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_an_apply_in_good_order(number, process, cli, project, slow, until):
    running = process("apply", "--auto-approve", "--format", "json")
    until(lambda: len(_deletes(slow)) >= 3, "some batches were sent")
    running.signal(number)
    ended = running.end()
    assert ended.code == 130
    assert "Finishing and recording what is in flight" in ended.err
    assert "Traceback" not in ended.err
    assert ended.event("summary")["exit_code"] == 130
    sent = len(_deletes(slow))
    assert 3 <= sent < 15
    assert project.kinds().count("accepted") == sent  # every answer is recorded
    assert project.kinds()[-1] == "run_finished"
    _converges(cli, slow)


@pytest.mark.fault(25)
def test_the_second_interrupt_aborts_at_once(process, cli, project, slow, until):
    slow.emulator.faults.add(Fault(kind="delay_before", operation="delete_by_ids", seconds=20.0, times=None))
    running = process("apply", "--auto-approve")
    until(
        lambda: (project.folder / "reconciler.state.jsonl").exists() and "intent" in project.kinds(), "an intent"
    )
    running.signal(signal.SIGINT)
    running.says("Interrupt received")
    running.signal(signal.SIGINT)
    ended = running.end(seconds=5)
    assert ended.code == 130
    assert "Aborted." in ended.err
    assert project.kinds()[-1] != "run_finished"
    slow.emulator.faults.clear()
    _converges(cli, slow)


@pytest.mark.fault(25)
def test_an_interrupt_while_it_waits_for_the_proof(process, cli, project, start, until):
    project.declare(["a"])
    service = start(lag=3600)
    service.emulator.seed(ACCOUNT, "docs", ["a", *(f"stays-{n}" for n in range(10))])
    running = process("apply", "--auto-approve")
    until(lambda: service.emulator.record(operation="info"), "it waits")
    running.signal(signal.SIGINT)
    ended = running.end(seconds=10)
    assert ended.code == 130
    assert "Waiting: 1 id" in ended.out
    running = process("verify")
    seen = len(service.emulator.record(operation="info"))
    until(lambda: len(service.emulator.record(operation="info")) > seen, "verify waits")
    running.signal(signal.SIGTERM)
    assert running.end(seconds=10).code == 130
    service.emulator.set_lag(0)
    service.emulator.process()
    _converges(cli, service)


@pytest.mark.fault(25)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_at_the_question_sends_nothing_and_ends(number, process, project, seed, service):
    project.declare(["a"])
    seed(["a"])
    running = process("apply", stdin=subprocess.PIPE)
    running.says("Enter a value: ")
    running.signal(number)
    ended = running.end(seconds=10)
    assert ended.code == 130
    assert "Nothing is in flight" in ended.err
    assert project.names == ["manifests"]
    assert service.emulator.record() == []


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    ("arguments", "number"),
    [(("plan", "--refresh"), signal.SIGINT), (("apply", "--auto-approve", "--refresh"), signal.SIGTERM)],
)
def test_an_interrupt_while_it_only_reads_ends_at_once(arguments, number, process, project, start, until):
    project.declare(["a"])
    service = start()
    service.emulator.seed(ACCOUNT, "docs", ["a"])
    fault = service.emulator.faults.add(Fault(kind="delay_before", seconds=20.0, times=None))
    running = process(*arguments)
    until(lambda: service.emulator.faults.hits(fault), "a request is on its way")
    running.signal(number)
    ended = running.end(seconds=5)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert project.names == ["manifests"]


@pytest.mark.fault(25)
def test_an_interrupt_while_it_reads_stdin_is_no_traceback(process, project):
    project.declare(["a"])
    running = process("check-ids", "docs", stdin=subprocess.PIPE)
    running.popen.stdin.write(b"a\n" * 20_000)
    running.popen.stdin.flush()
    assert running.popen.stdout.readline() == b"a\tdeclared\n"
    running.signal(signal.SIGINT)
    ended = running.end(seconds=10)
    assert ended.code == 130
    assert "Traceback" not in ended.err


@pytest.mark.fault(25)
def test_an_interrupt_with_nobody_reading_stderr_does_not_end_the_run_in_disorder(process, project, slow, until):
    read, write = os.pipe()
    running = process("apply", "--auto-approve", stderr=write)
    os.close(write)
    until(lambda: len(_deletes(slow)) >= 2, "some batches were sent")
    os.close(read)
    running.signal(signal.SIGINT)
    assert running.end().code == 130
    assert project.kinds()[-1] == "run_finished"
    assert project.kinds().count("accepted") == len(_deletes(slow))


@pytest.mark.fault(1)
def test_a_killed_apply_is_run_again_at_once_and_converges(process, cli, project, slow, until):
    running = process("apply", "--auto-approve")
    until(lambda: len(_deletes(slow)) >= 3, "some batches were sent")
    running.signal(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    assert project.kinds()[-1] != "run_finished"
    again = cli("apply", "--auto-approve")
    assert again.code == 0
    assert "took over from run" in again.err
    _converges(cli, slow)


@pytest.mark.fault(1)
def test_a_saved_plan_goes_on_after_a_kill(process, cli, project, slow, until):
    cli("plan", "--out", "p")
    running = process("apply", "p")
    until(lambda: len(_deletes(slow)) >= 3, "some batches were sent")
    running.signal(signal.SIGKILL)
    running.end()
    assert cli("apply", "p").code == 0
    assert len(slow.emulator.ids(ACCOUNT, "docs")) == 10


@pytest.mark.fault(10)
def test_5_a_second_process_learns_who_holds_the_state_and_how_to_take_it(process, cli, project, slow, until):
    running = process("apply", "--auto-approve")
    until(
        lambda: (project.folder / "reconciler.state.jsonl").exists() and "run_started" in project.kinds(),
        "it runs",
    )
    for arguments in (("apply", "--auto-approve"), ("verify",)):
        until(lambda: "accepted" in project.kinds(), "there is something to verify")
        second = cli(*arguments)
        assert second.code == 5
    started = next(e for frame in project.frames() for e in frame["events"] if e["kind"] == "run_started")
    run = next(f["run"] for f in project.frames() if any(e["kind"] == "run_started" for e in f["events"]))
    for known in (run, started["host"], started["actor"], f"pid {running.popen.pid}", "since 20"):
        assert known in second.err, known
    assert cli("state", "unlock", "another-run", "--reason", "test").code == 5
    (line,) = [line for line in second.err.splitlines() if "reconciler state unlock" in line]
    command = shlex.split(line[line.index("reconciler state unlock") :])
    assert cli("plan").code == 0  # reading takes no lock
    unlocked = cli(*command[1:])
    assert unlocked.code == 0
    fenced = running.end()
    assert fenced.code == 5
    assert "taken over" in fenced.err
    assert cli("state", "unlock", run, "--reason", "test").code == 1
    _converges(cli, slow)


def test_waiting_for_the_state_can_be_interrupted(process, project, slow, until):
    first = process("apply", "--auto-approve")
    until(
        lambda: (project.folder / "reconciler.state.jsonl").exists() and "run_started" in project.kinds(),
        "it runs",
    )
    second = process("apply", "--auto-approve", "--lock-timeout", "60")
    second.says("waiting for the state")
    second.signal(signal.SIGINT)
    ended = second.end(seconds=10)
    assert ended.code == 130
    assert first.popen.poll() is None
    assert first.end().code == 0


@pytest.mark.fault(25)
def test_nohup_means_that_a_hangup_is_ignored(process, project, slow, until):
    running = process(
        "apply", "--auto-approve", "--no-wait", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    until(lambda: len(_deletes(slow)) >= 2, "some batches were sent")
    running.signal(signal.SIGHUP)
    ended = running.end()
    assert ended.code == 0
    assert "Interrupt" not in ended.err

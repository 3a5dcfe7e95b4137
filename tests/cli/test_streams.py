"""Streams that are closed, full, or whose reader has gone: no traceback, nothing lost, nothing in the wrong place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def many(project):
    """A plan whose full listing is larger than any pipe's buffer."""
    project.declare_many(9_000)
    return project


def _close_after_first_line(process):
    line = process.popen.stdout.readline()
    process.popen.stdout.close()
    process.popen.stdout = None
    return line


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    "arguments",
    [("plan", "--verbose"), ("plan", "--format", "json"), ("plan", "--verbose", "--detailed-exitcode")],
)
def test_a_reader_that_goes_away_leaves_no_traceback(arguments, process, many):
    running = process(*arguments)
    assert _close_after_first_line(running)
    ended = running.end()
    assert ended.code == 1
    assert ended.err == ""


@pytest.mark.fault(25)
def test_a_reader_that_goes_away_changes_nothing_of_a_run(process, project, seed):
    project.declare(["a"])
    seed(["a"])
    running = process("apply", "--auto-approve", "--format", "json")
    assert b'"version"' in _close_after_first_line(running)
    assert running.end().code == 0
    assert project.kinds()[-1] == "run_finished"
    assert "verified" in project.kinds()


@pytest.mark.parametrize("arguments", [("plan",), ("plan", "--format", "json"), ("--help",)])
def test_a_full_disk_behind_stdout_is_an_error_and_not_success(arguments, process, project):
    project.declare(["a"])
    with Path("/dev/full").open("wb") as full:
        ended = process(*arguments, stdout=full).end()
    assert ended.code == 1
    assert ended.err == "Error: stdout cannot be written: No space left on device\n"


@pytest.mark.parametrize("arguments", [("plan",), ("plan", "--nonsense"), ("apply", "missing")])
def test_a_reader_of_stderr_that_goes_away_leaves_no_trace(arguments, process, project):
    project.declare(["a"])
    read, write = os.pipe()
    os.close(read)
    ended = process(*arguments, stderr=write).end()
    os.close(write)
    assert ended.code == (0 if arguments == ("plan",) else 1)
    assert "Traceback" not in ended.out


@pytest.mark.fault(25)
def test_what_is_meant_for_a_closed_stderr_never_reaches_stdout_or_the_state(process, project, seed):
    project.declare(["a"])
    seed(["a"])
    ended = process(
        "apply", "--auto-approve", "--format", "json", stderr=None, preexec_fn=lambda: os.close(2)
    ).end()
    assert ended.code == 0
    assert [each["type"] for each in ended.events][-1] == "summary"
    ended = process("apply", "missing", stderr=None, preexec_fn=lambda: os.close(2)).end()
    assert (ended.code, ended.out) == (1, "")
    assert process("state", "verify").end().code == 0


@pytest.mark.fault(25)
def test_a_closed_stdout_is_like_nobody_reading(process, project, seed):
    project.declare(["a"])
    seed(["a"])
    ended = process("apply", "--auto-approve", stdout=None, preexec_fn=lambda: os.close(1)).end()
    assert ended.code == 0
    assert "Traceback" not in ended.err
    assert process("state", "verify").end().code == 0


@pytest.mark.fault(25)
def test_no_standard_stream_at_all(process, project, seed):
    project.declare(["a"])
    seed(["a"])
    closed = {"stdin": None, "stdout": None, "stderr": None, "preexec_fn": lambda: os.closerange(0, 3)}
    assert process("apply", "--auto-approve", **closed).end().code == 0
    assert process("check-ids", "docs", **closed).end().code == 1
    assert process("state", "verify").end().code == 0


def test_a_terminal_that_knows_ascii_alone_still_sees_every_plan(process, project):
    project.declare(["消去", "ü"])
    ended = process("plan", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}).end()
    assert ended.code == 0
    assert "\\u6d88\\u53bb" in ended.out


def test_in_a_log_of_both_streams_everything_stands_in_its_order(process, project, seed):
    project.declare(["a"])
    seed(["a"])
    out = process("apply", stdin=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = out.popen.communicate(b"yes\n", timeout=30)[0].decode()
    order = [
        "to delete",
        "Fingerprint: ",
        "Enter a value",
        "a new state was created",
        "holds the state",
        "Accepted: 1 id",
    ]
    places = [said.index(each) for each in order]
    assert places == sorted(places), said


def test_a_bug_is_shown_whole_and_never_swallowed(tmp_path):
    code = (
        "import sys, reconciler.cli, reconciler.cli.app as app\n"
        "def run(arguments): raise ZeroDivisionError('nobody expected this')\n"
        "app.run = run\nreconciler.cli.main()"
    )
    checkout = Path(sys.modules["reconciler"].__file__).resolve().parents[1]
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(checkout)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "nobody expected this" in ended.stderr
    assert "This is a bug in reconciler" in ended.stderr
    assert ended.stdout == ""


def test_a_deleted_working_folder_is_no_bug(process, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    for arguments in (("plan",), ("state", "show")):
        ended = process(*arguments, cwd=gone, preexec_fn=gone.rmdir).end()
        gone.mkdir(exist_ok=True)
        assert "Traceback" not in ended.err, ended.err
        assert ended.code == 1


def test_check_ids_answers_each_question_before_the_next_is_asked(process, project):
    project.declare(["a"])
    asking = process("check-ids", "docs", stdin=subprocess.PIPE)
    for question, answer in ((b"a\n", b"a\tdeclared\n"), (b"b\nc", b"b\tfree\n"), (b"d\n", b"cd\tfree\n")):
        asking.popen.stdin.write(question)
        asking.popen.stdin.flush()
        assert asking.popen.stdout.readline() == answer
    assert asking.end().code == 4

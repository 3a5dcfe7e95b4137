"""Limits are passed over by a person at a terminal, for a reason that stays in the state; a keep never is."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import sys

import pytest
from jsonschema import Draft202012Validator

from reconciler import resources
from reconciler.cli.app import run

FLAG = "--dangerous-ignore-limits"


@pytest.fixture
def over(project, seed):
    """Three ids declared, two allowed."""
    project.declare(["a", "b", "c"])
    project.write("reconciler.yaml", "version: 1\nlimits: {max_deletes: 2}\n")
    seed(["a", "b", "c"])
    return project


class _Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.fixture
def typed(capsys, monkeypatch):
    """Runs the command line with a person at the terminal who types `lines`."""

    def call(*arguments, lines=""):
        monkeypatch.setattr(sys, "stdin", _Terminal(io.BytesIO(lines.encode()), encoding="utf-8"))
        capsys.readouterr()
        code = run(arguments)
        return code, capsys.readouterr()

    return call


def ignored(project):
    return [e for frame in project.frames() for e in frame["events"] if e["kind"] == "limits_ignored"]


def test_who_and_why_are_recorded_before_anything_is_sent(typed, over, service, monkeypatch):
    monkeypatch.setenv("GITHUB_TRIGGERING_ACTOR", "alice")
    code, _seen = typed("apply", FLAG, lines="yes\nPRIV-9, agreed with the DPO\n")
    assert code == 0
    assert len(service.emulator.record(operation="delete_by_ids")) == 1
    (event,) = ignored(over)
    assert event["who"].startswith("alice on ")
    assert event["why"] == "PRIV-9, agreed with the DPO"
    assert [each.split(":")[0] for each in event["limits"]] == [
        "[023e105f4ecef8ad9ca31a8372d0c353/docs] Too many deletes, 3 ids is over 2 (3/3 declared)",
        "[whole plan] Too many deletes, 3 ids is over 2 (3/3 declared)",
    ]
    kinds = over.kinds()
    assert kinds.index("run_started") < kinds.index("limits_ignored") < kinds.index("intent")
    for frame in over.frames():
        Draft202012Validator(resources.schema("state-frame")).validate(frame)


def test_the_plan_and_what_it_exceeds_are_shown_before_the_question(typed, over):
    code, seen = typed("apply", FLAG, lines="no\n")
    assert code == 1
    assert "Too many deletes, 3 ids is over 2" in seen.out
    assert "Do you want to delete 3 vectors, over the limits?" in seen.err
    assert "Reason:" not in seen.err
    assert "apply cancelled" in seen.err


def test_a_reason_on_the_command_line_is_not_asked_for_again(typed, over):
    code, seen = typed("apply", FLAG, "--reason", "PRIV-9", lines="yes\n")
    assert code == 0
    assert "Reason:" not in seen.err
    assert ignored(over)[0]["why"] == "PRIV-9"


@pytest.mark.parametrize("answer", ["", "\n", "  \n", "\u200b\n"])
def test_without_a_reason_nothing_is_sent_or_recorded(typed, over, service, answer):
    code, seen = typed("apply", FLAG, lines=f"yes\n{answer}")
    assert code == 1
    assert "no reason was given" in seen.err
    assert service.emulator.record() == []
    assert "reconciler.state.jsonl" not in over.names


@pytest.mark.parametrize("answer", ["y\n", "\n", ""])
def test_only_the_word_yes_passes_over_a_limit(typed, over, service, answer):
    code, _ = typed("apply", FLAG, "--reason", "r", lines=answer)
    assert code == 1
    assert service.emulator.record() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("p.json",),
        ("--auto-approve",),
        ("--expect", "sha256:" + "0" * 64),
        ("--auto-approve", "--expect", "sha256:" + "0" * 64),
        ("--format", "json"),
        ("--auto-approve", "--format", "json"),
    ],
)
def test_a_pipeline_cannot_pass_over_a_limit(typed, over, cli, service, arguments):
    cli("plan", "--out", "p.json")
    code, _seen = typed("apply", *arguments, FLAG, "--reason", "r", lines="yes\n")
    assert code == 1
    assert service.emulator.record() == []
    assert "reconciler.state.jsonl" not in over.names


def test_a_pipe_on_stdin_is_no_person(cli, over, service):
    ended = cli("apply", FLAG, "--reason", "r", stdin="yes\n")
    assert ended.code == 1
    assert "needs a person at a terminal" in ended.err
    assert "reconciler.yaml" in ended.err
    assert service.emulator.record() == []


def test_a_reason_alone_is_a_mistake(cli, over):
    ended = cli("apply", "--reason", "r", stdin="yes\n")
    assert ended.code == 1
    assert "--reason goes with --dangerous-ignore-limits" in ended.err


def test_a_keep_is_never_passed_over(typed, over, service):
    over.declare(["a", "b", "c"], keep=["b"])
    code, seen = typed("apply", FLAG, "--reason", "r", lines="yes\n")
    assert code == 3
    assert "protected by a keep" in seen.err
    assert service.emulator.record() == []


def test_where_no_limit_refuses_nothing_is_asked_for_and_nothing_recorded(typed, over):
    over.write("reconciler.yaml", "version: 1\n")
    code, seen = typed("apply", FLAG, lines="yes\n")
    assert code == 0
    assert "Reason:" not in seen.err
    assert ignored(over) == []


def test_the_percent_of_an_index_can_be_passed_over_too(typed, project, seed):
    ids = [f"d{n:03}" for n in range(60)]
    project.declare(ids)
    seed(ids, others=60)
    code, _seen = typed("apply", "--refresh", FLAG, "--reason", "r", lines="yes\n")
    assert code == 0
    assert "50.00 % is over 30 % (60/120 vectors)" in ignored(project)[0]["limits"][0]


def test_the_state_shows_who_passed_over_which_limit_and_why(typed, over, cli, monkeypatch):
    monkeypatch.setenv("GITHUB_TRIGGERING_ACTOR", "alice")
    typed("apply", FLAG, "--reason", "PRIV-9", lines="yes\n")
    text = cli("state", "show").out
    (line,) = [each for each in text.splitlines() if each.startswith("Limits ignored: ")]
    assert " by alice on " in line
    assert ": PRIV-9 (run " in line
    assert "  [whole plan] Too many deletes, 3 ids is over 2" in text
    (found,) = cli("state", "show", "--format", "json").json["limits_ignored"]
    assert (found["why"], len(found["limits"])) == ("PRIV-9", 2)
    assert found["run"] == over.frames()[-1]["run"]


def test_what_was_typed_cannot_act_on_whoever_reads_the_state(typed, over, cli):
    typed("apply", FLAG, lines="yes\n\x1b[31mred\u202e::warning::\n")
    assert "\x1b" not in json.dumps(over.frames(), ensure_ascii=False)
    assert "\x1b" not in cli("state", "show").out
    assert "\u202e" not in cli("state", "show").out


def test_a_person_at_a_real_terminal(process, over, service):
    screen, inside = pty.openpty()
    running = process("apply", FLAG, stdin=inside, stdout=inside, stderr=inside, start_new_session=True)
    os.close(inside)
    seen = ""

    def until(words):
        nonlocal seen
        while words not in seen:
            assert select.select([screen], [], [], 20)[0], seen
            seen += os.read(screen, 65536).decode()

    until("Enter a value:")
    os.write(screen, b"yes\n")
    until("Reason:")
    os.write(screen, b"PRIV-9\n")
    until("State head:")
    try:
        while os.read(screen, 65536):
            pass
    except OSError:  # Linux: the other side was closed
        pass
    os.close(screen)
    assert running.popen.wait(20) == 0
    assert ignored(over)[0]["why"] == "PRIV-9"

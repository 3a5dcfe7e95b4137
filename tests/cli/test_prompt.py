"""Nothing is deleted that nobody approved."""

from __future__ import annotations

import os
import sys

import pytest


@pytest.fixture
def ready(project, seed):
    project.declare(["a", "b"])
    seed(["a", "b"])
    return project


@pytest.mark.parametrize(
    "answer",
    ["y\n", "Y\n", "YES\n", "Yes\n", "yes please\n", "yess\n", "no\n", "\n", "1\n", "true\n", "y", b"\xff\n"],
)
def test_anything_but_the_word_yes_cancels(answer, cli, ready, service):
    ended = cli("apply", stdin=answer)
    assert ended.code == 1
    assert "apply cancelled" in ended.err
    assert service.emulator.record() == []
    assert ready.names == ["manifests"]


@pytest.mark.parametrize("answer", ["yes\n", "yes\r\n", "yes"])
def test_the_word_yes_approves(answer, cli, ready, service):
    ended = cli("apply", stdin=answer)
    assert ended.code == 0
    assert len(service.emulator.record(operation="delete_by_ids")) == 1


def test_the_plan_stands_before_the_question_and_the_question_on_stderr(cli, ready):
    ended = cli("apply", stdin="no\n")
    assert "- 2 ids to delete" in ended.out
    assert "Fingerprint: sha256:" in ended.out
    assert "Enter a value" not in ended.out
    assert "Do you want to delete 2 vectors?" in ended.err
    assert "Only 'yes' will be accepted" in ended.err


def test_the_question_counts_one_as_one(cli, project, seed):
    seed(["a"])
    project.declare(["a"])
    assert "Do you want to delete 1 vector?" in cli("apply", stdin="yes\n").err
    project.declare(["b"])
    assert "Do you want to delete 1 vector? 1 id is released." in cli("apply", stdin="no\n").err
    project.write("manifests/gdpr.yaml", "version: 1\nabsent: []\n")
    assert "Do you want to release 1 id? It is not" in cli("apply", stdin="no\n").err


def test_a_closed_stdin_is_an_error_and_never_a_yes(cli, ready, service):
    ended = cli("apply", stdin="")
    assert ended.code == 1
    assert "stdin is closed" in ended.err
    assert service.emulator.record() == []


def test_no_stdin_at_all_is_an_error_and_never_a_yes(process, ready, service):
    ended = process("apply", stdin=None, preexec_fn=lambda: os.close(0)).end()
    assert ended.code == 1
    assert "stdin is closed" in ended.err
    assert "Traceback" not in ended.err
    assert service.emulator.record() == []


def test_json_cannot_ask_so_it_wants_a_plan_or_a_flag(cli, ready, service):
    ended = cli("apply", "--format", "json", stdin="yes\n")
    assert ended.code == 1
    assert "cannot ask for approval with --format json" in ended.err
    assert [each["type"] for each in ended.events] == ["version", "diagnostic"]
    assert service.emulator.record() == []


def test_a_saved_plan_asks_nothing(cli, ready, monkeypatch):
    cli("plan", "--out", "p")
    monkeypatch.setattr(sys.stdin, "readline", None, raising=False)
    ended = cli("apply", "p", "--format", "json")
    assert ended.code == 0
    assert ended.err == ""


def test_auto_approve_asks_nothing(cli, ready):
    ended = cli("apply", "--auto-approve")
    assert ended.code == 0
    assert "Enter a value" not in ended.err


def test_nobody_is_asked_when_there_is_nothing_to_do(cli, ready):
    cli("apply", "--auto-approve")
    ended = cli("apply")
    assert ended.code == 0
    assert "No changes." in ended.out
    assert "Enter a value" not in ended.err

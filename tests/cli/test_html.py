"""`--format html`: one file on stdout, whatever the terminal's encoding; exit codes stay what they are."""

from __future__ import annotations

import hashlib
import re

import pytest

ODD = ["doc-1", "</script><b>", "é\u202e", "日本"]


@pytest.fixture
def applied(cli, project, seed):
    """A project whose ids are gone, and remembered in the default state."""
    project.declare(ODD)
    seed(ODD)
    assert cli("apply", "--auto-approve").code == 0
    return project


def test_the_state_is_a_page_with_its_head_and_every_mutation(cli, applied):
    ended = cli("state", "show", "--format", "html")
    shown = cli("state", "show", "--format", "json").json
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("<!doctype html>\n")
    assert ended.out.endswith("</html>\n")
    assert ended.out.isascii()
    assert "All 4 ids were found absent when last read" in ended.out
    assert f"{shown['position']}:{shown['head']}" in ended.out
    for index in shown["indexes"]:
        for mutation in index["mutations"]:
            assert f"<code>{mutation['mutation_id']}</code>" in ended.out


def test_the_history_of_one_id_is_a_page(cli, applied):
    ended = cli("state", "show", "--id", ODD[1], "--format", "html")
    assert ended.code == 0
    assert "<h1>History of <code>&lt;/script&gt;&lt;b&gt;</code></h1>" in ended.out
    (told,) = re.findall(r"<tbody>.*?</tbody>", ended.out, re.DOTALL)
    assert [what for what in ("intent", "accepted", "processed", "verified") if f"<td>{what}</td>" in told] == [
        "intent",
        "accepted",
        "processed",
        "verified",
    ]


def test_an_absent_state_is_a_page_that_says_so(cli, project):
    ended = cli("state", "show", "--format", "html")
    assert ended.code == 0
    assert "There is no state here, or it is empty" in ended.out
    assert ended.err.startswith("Note: there is no state at ")


def test_an_index_alone(cli, applied):
    ended = cli("state", "show", "--index", "nobody", "--format", "html")
    assert ended.code == 0
    assert "Only the index" in ended.out
    assert "doc-1" not in ended.out


def test_a_page_reaches_a_terminal_that_knows_only_ascii(process, applied):
    environment = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    running = process("state", "show", "--format", "html", env=environment)
    out, err = running.popen.communicate(timeout=30)
    assert (running.popen.returncode, err) == (0, b"")
    assert b"\\u65e5\\u672c" in out


@pytest.fixture
def saved(cli, project):
    """A saved plan."""
    project.declare(ODD)
    assert cli("plan", "--out", "p.json").code == 0
    return project.folder / "p.json"


def test_a_plan_is_a_page_and_the_commands_around_it_say_what_they_always_say(cli, project):
    project.declare(ODD)
    ended, text = cli("plan", "--format", "html"), cli("plan")
    assert (ended.code, ended.err) == (0, text.err)
    fingerprint = cli("plan", "--format", "json").json["fingerprint"]
    assert f"reconciler apply --expect {fingerprint}" in ended.out
    assert ended.out.isascii()


def test_a_saved_plan_is_the_same_page_with_its_file_and_the_digest_of_that(cli, saved):
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    shown = cli("show", "p.json", "--format", "html")
    assert shown.code == 0
    assert f"<code>{digest}</code>" in shown.out
    assert "reconciler apply p.json --expect sha256:" in shown.out
    made = cli("plan", "--out", "p.json", "--format", "html")
    again = cli("show", "p.json", "--format", "html")
    assert made.out == again.out


def test_manifests_that_cannot_be_used_are_a_page_that_says_why(cli, project):
    project.declare(ODD, more="unknown: 1\n")
    ended = cli("plan", "--format", "html")
    assert ended.code == 1
    assert "The manifests cannot be used: there is no plan" in ended.out
    assert "unknown" in ended.out


def test_exit_codes_do_not_depend_on_the_format(cli, project):
    project.declare(ODD)
    assert cli("plan", "--format", "html", "--detailed-exitcode").code == 2
    project.declare(ODD, keep=["doc-1"])
    ended = cli("plan", "--format", "html")
    assert ended.code == 3
    assert "Refused" in ended.out

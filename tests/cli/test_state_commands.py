"""`reconciler state pull|push|migrate|repair`: exit codes, what stands where, and what is left alone."""

from __future__ import annotations

import os
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from reconciler.clock import SystemClock
from reconciler.state import events as ev
from reconciler.state.journal import Journal, create
from reconciler.state.run import Run, whoami
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.urls import open_store
from reconciler.state.unsaved import save
from support.fake_s3 import Answer
from support.places import new_place

STATE = "reconciler.state.jsonl"
ODD = ["doc-1", "a\n", "é", "e\u0301", "\u2028", "no"]


@pytest.fixture
def applied(cli, project, seed):
    """A project whose ids are gone, and remembered in the default state."""
    project.declare(ODD)
    seed(ODD)
    assert cli("apply", "--auto-approve").code == 0
    return project


@pytest.fixture
def content(applied):
    """The bytes of the state as they are now."""
    return (applied.folder / STATE).read_bytes


def _hold(store, **who):
    """A run that is at work: of another machine, unless `who` says more."""
    settings = {"command": "apply", "origin": "loopback", "fingerprint": "", "prepare": lambda _: None}
    run, _ = Run.start(Journal(store, SystemClock()), SystemClock(), **settings, **{"host": "elsewhere", **who})
    return run


def _flip(path, index=-80):
    changed = bytearray(path.read_bytes())
    changed[index] ^= 0x01
    path.write_bytes(changed)
    return bytes(changed)


# pull


@pytest.mark.parametrize(
    "encoding", [{}, {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}]
)
@pytest.mark.parametrize("kind", ["file", "fake_s3", "seaweed", "postgres"])
def test_pull_prints_the_log_byte_for_byte_on_every_store_and_every_terminal(
    kind, encoding, request, process, project, tmp_path
):
    place = new_place(kind, request, tmp_path)
    journal = create(place.open(), SystemClock())
    run = _hold(place.open())
    run.append(
        [ev.TargetSeen(1, "loopback", "a" * 32, "docs"), ev.Declared(1, 1, "m", 1, 0, "ticket 😀 \x00\x1b")]
    )
    run.append([ev.Intent(1, 1, [[[1], 3]], ["a\nb", "\x00\x7f\u2028", "😀é"])])
    running = process("state", "pull", env={**place.env, **encoding, "RECONCILER_STATE": place.url})
    out, err = running.popen.communicate(timeout=30)
    assert (running.popen.returncode, err) == (0, b"")
    assert out == b"".join(journal.store.read(0))
    assert out.count(b"\n") == 4
    place.close()


def test_pull_prints_nothing_but_what_verifies(cli, applied, content):
    whole = content()
    _flip(applied.folder / STATE)
    ended = cli("state", "pull")
    assert ended.code == 1
    assert whole.decode().startswith(ended.out)
    assert ended.out.count("\n") == whole.count(b"\n") - 1
    number = whole.count(b"\n")
    assert f"frame {number} is damaged" in ended.err


@pytest.mark.parametrize(
    "arguments", [("pull",), ("migrate", "--to", "file:there.jsonl"), ("repair",), ("push", "x")]
)
def test_where_there_is_no_state_it_is_an_error_and_none_is_made(arguments, cli, project):
    project.write("x", "")
    ended = cli("state", *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert f"there is no state at file:{STATE}" in ended.err
    assert project.names == ["x"]


# push


def _unsaved(store, event):
    journal = Journal(store, SystemClock())
    journal.load()
    fold = journal.fold
    return save(Path.cwd(), lineage=fold.lineage, run="r" * 32, head=journal.head, at="", events=[event])


@pytest.mark.fault(13)
def test_what_a_run_could_not_record_is_pushed_by_the_command_that_it_printed(
    cli, project, seed, fake_s3, monkeypatch, service
):
    for name, value in {**fake_s3.env(), "RECONCILER_STATE": "s3://bucket/log"}.items():
        monkeypatch.setenv(name, value)
    project.declare(["a", "b"])
    seed(["a", "b"])
    assert cli("state", "init").code == 0

    def fault(method, key, nth):
        sent = service.emulator.record(operation="delete_by_ids")
        return Answer(403, "ExpiredToken") if method == "PUT" and sent else None

    fake_s3.fault = fault
    ended = cli("apply", "--auto-approve")
    assert ended.code == 1
    assert "renew them" in ended.err
    (command,) = re.findall(r"reconciler (state push [^;]+);", ended.err)
    fake_s3.fault = lambda method, key, nth: None
    held = cli(*shlex.split(command))
    assert held.code == 5  # nobody knows yet that the run is dead
    (unlock,) = re.findall(r"reconciler (state unlock .* --reason) ", held.err)
    assert cli(*shlex.split(unlock), "its token had expired").code == 0
    ended = cli(*shlex.split(command))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Recorded 1 outcome.\nState head: ")
    again = cli(*shlex.split(command))
    assert again.code == 0
    assert again.out.startswith("Recorded 0 outcomes.\n1 were in the log already.\n")
    assert again.out.splitlines()[-1] == ended.out.splitlines()[-1]
    (mutation,) = service.emulator.mutations("023e105f4ecef8ad9ca31a8372d0c353", "docs")[-1:]
    assert mutation.mutation_id in cli("state", "show").out
    assert cli("verify").code == 0
    assert cli("apply", "--auto-approve").code == 0
    assert len(service.emulator.record(operation="delete_by_ids")) == 1


HOSTILE = {
    "not JSON": b"hello\n",
    "no line": b"hello",
    "NUL": b"\x00\x00\n",
    "a huge number": b'{"lineage":"l","run":"r","head":' + b"9" * 6000 + b"}\n",
    "a deep nest": b"[" * 50_000 + b"\n",
    "wrong types": b'{"lineage":1,"run":[],"head":{},"event":{"kind":"accepted","batch":"1","mutation_id":7}}\n',
    "another event": b'{"lineage":"l","run":"r","head":"h","event":{"kind":"moved","to":"memory:"}}\n',
    "another lineage": b'{"lineage":"\\u001b[2J","run":"r","head":"h","event":'
    b'{"kind":"accepted","batch":1,"mutation_id":"m"}}\n',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_strange_file_is_refused_and_nothing_is_recorded(what, cli, applied, content):
    before = content()
    (applied.folder / "strange").write_bytes(HOSTILE[what])
    ended = cli("state", "push", "strange")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("Error: ")
    assert "\x1b" not in ended.err
    assert content() == before


@pytest.mark.parametrize(
    "head", ["", "1", "1:2", "x:" + "0" * 64, "\u0661:" + "0" * 64, "9" * 99 + ":" + "0" * 64]
)
def test_a_strange_head_in_the_file_is_refused(head, cli, applied, content):
    before = content()
    store = FileStore(applied.folder / STATE)
    lineage = Journal(store, SystemClock()).load().lineage
    save(applied.folder, lineage=lineage, run="r", head=head, at="", events=[ev.Accepted(1, "m")])
    ended = cli("state", "push", f"reconciler-unsaved-{lineage}.jsonl")
    assert ended.code == 1
    assert content() == before


def test_a_whole_log_is_not_pushed_and_the_hint_says_how_it_moves(cli, applied, content):
    (applied.folder / "backup.jsonl").write_bytes(content())
    ended = cli("state", "push", "backup.jsonl")
    assert ended.code == 1
    assert "whole log" in ended.err
    assert "state migrate" in ended.err


def test_a_pipe_or_a_device_is_refused_instead_of_waited_for(cli, applied, content):
    before = content()
    os.mkfifo(applied.folder / "pipe")
    for name in ("pipe", "/dev/zero", "/dev/null"):
        ended = cli("state", "push", name)
        assert (ended.code, ended.out) == (1, "")
        assert f"{name} is not an ordinary file" in ended.err
    assert content() == before


def test_a_log_is_never_moved_into_memory_where_it_would_be_lost(cli, applied, content):
    before = content()
    ended = cli("state", "migrate", "--to", "memory:")
    assert (ended.code, ended.out) == (1, "")
    assert "the log would be lost" in ended.err
    assert content() == before


@pytest.mark.parametrize("command", [("apply", "--auto-approve"), ("plan",), ("state", "show")])
@pytest.mark.parametrize("place", ["flag", "variable", "configuration"])
def test_no_command_keeps_its_state_in_memory(cli, project, service, monkeypatch, command, place):
    project.declare(["a"])
    more = ("--state", "memory:") if place == "flag" else ()
    if place == "variable":
        monkeypatch.setenv("RECONCILER_STATE", "Memory:x")
    if place == "configuration":
        project.write("reconciler.yaml", 'version: 1\nstate: "memory:"\n')
    ended = cli(*command, *more)
    assert (ended.code, ended.out) == (1, "")
    assert "ends with the command" in ended.err
    assert service.emulator.record() == []


def test_a_missing_file_is_named(cli, applied):
    ended = cli("state", "push", "nothing.jsonl")
    assert ended.code == 1
    assert "nothing.jsonl cannot be read" in ended.err


# migrate


def test_a_state_moves_through_every_store_and_comes_back(cli, applied, content, request, tmp_path, monkeypatch):
    first = content()
    places = [new_place(kind, request, tmp_path) for kind in ("fake_s3", "postgres")]
    urls = [f"file:{STATE}", *(each.url for each in places), f"file:{STATE}"]
    for name, value in places[0].env.items():
        monkeypatch.setenv(name, value)
    for source, to in pairwise(urls):
        ended = cli("state", "migrate", "--state", source, "--to", to)
        assert (ended.code, ended.err) == (0, "")
        assert "hunter2" not in ended.out
        head = ended.out.splitlines()[-1].removeprefix("State head: ")
        assert cli("state", "verify", "--state", to, "--head", head).code == 0
        again = cli("state", "migrate", "--state", source, "--to", to)
        assert (again.code, again.out.splitlines()[-1]) == (0, ended.out.splitlines()[-1])
        assert "nothing was left to copy" in again.out
    assert content().startswith(first)
    assert cli("state", "pull").out.encode() == content()
    assert cli("apply", "--auto-approve").code == 0
    for place in places:
        place.close()


def test_the_old_place_reads_as_history_and_refuses_to_be_written(cli, applied, content, seed):
    run = _hold(FileStore(applied.folder / STATE))
    run.append([ev.Intent(9, 1, [[[1], 1]], ["doc-1"])])
    run.finish("failed")
    unsaved = _unsaved(FileStore(applied.folder / STATE), ev.Accepted(9, "m"))
    assert cli("state", "migrate", "--to", "file:there.jsonl").code == 0
    before = content()
    applied.declare([*ODD, "another"])
    seed(["another"])
    for arguments in (("apply", "--auto-approve"), ("verify", "--all"), ("state", "push", unsaved.name)):
        ended = cli(*arguments)
        assert ended.code == 1, arguments
        assert "this state was moved to file:there.jsonl" in ended.err
        assert "--state file:there.jsonl" in ended.err
    assert cli("plan").code == 0
    assert "was moved to file:there.jsonl" in cli("plan").out + cli("plan").err
    assert "was moved to file:there.jsonl" in cli("state", "show").err
    assert "was moved to file:there.jsonl" in cli("state", "verify").err
    assert content() == before
    assert cli("apply", "--auto-approve", "--state", "file:there.jsonl").code == 0


def test_a_state_that_a_run_holds_stays_where_it_is(cli, applied, content):
    run = _hold(FileStore(applied.folder / STATE), actor="alice")
    before = content()
    ended = cli("state", "migrate", "--to", "file:there.jsonl")
    assert (ended.code, ended.out) == (5, "")
    for part in ("alice", run.run, "elsewhere", f"state unlock {run.run}"):
        assert part in ended.err
    assert content() == before
    assert not (applied.folder / "there.jsonl").exists()
    run.finish("done")
    assert cli("state", "migrate", "--to", "file:there.jsonl").code == 0


@pytest.mark.parametrize(
    "to",
    [f"file:{STATE}", f"./{STATE}", "mysql://me:hunter2@h/x", "s3://BUCKET/x", "file:", "file:no/there.jsonl"],
)
def test_a_destination_that_cannot_be_changes_nothing(to, cli, applied, content):
    before, names = content(), applied.names
    ended = cli("state", "migrate", "--to", to)
    assert (ended.code, ended.out) == (1, "")
    assert "hunter2" not in ended.err
    assert (content(), applied.names) == (before, names)


def test_a_destination_with_another_log_is_left_alone_and_the_source_stays_live(cli, applied, content):
    cli("state", "init", "--state", "file:there.jsonl")
    before, there = content(), (applied.folder / "there.jsonl").read_bytes()
    ended = cli("state", "migrate", "--to", "file:there.jsonl")
    assert ended.code == 1
    assert "file:there.jsonl holds another log" in ended.err
    assert (content(), (applied.folder / "there.jsonl").read_bytes()) == (before, there)
    assert cli("verify", "--all").code == 0


# repair


@pytest.mark.parametrize("answer", ["no\n", "y\n", "\n", "YES\n", b"\xff\n"])
def test_nothing_is_put_aside_without_the_word_yes(answer, cli, applied):
    damaged = _flip(applied.folder / STATE)
    names = applied.names
    ended = cli("state", "repair", stdin=answer)
    assert (ended.code, ended.out) == (1, "")
    assert "Cancelled: nothing was changed." in ended.err
    assert (applied.folder / STATE).read_bytes() == damaged
    assert applied.names == names


def test_a_closed_stdin_is_an_error_and_puts_nothing_aside(cli, applied, process):
    damaged = _flip(applied.folder / STATE)
    ended = cli("state", "repair")
    assert (ended.code, ended.out) == (1, "")
    assert "stdin is closed" in ended.err
    assert "--auto-approve" in ended.err
    ended = process("state", "repair", stdin=None, preexec_fn=lambda: os.close(0)).end()
    assert ended.code == 1
    assert (applied.folder / STATE).read_bytes() == damaged


@pytest.mark.parametrize(("flags", "answer"), [((), "yes\n"), (("--auto-approve",), "")])
def test_a_damaged_last_frame_is_put_aside_and_the_next_apply_goes_on(flags, answer, cli, applied, content):
    damaged = _flip(applied.folder / STATE)
    number = damaged.count(b"\n")
    assert cli("state", "verify").code == 1
    ended = cli("state", "repair", *flags, stdin=answer)
    assert ended.code == 0
    assert f"frame {number} is damaged" in ended.err
    (aside,) = applied.folder.glob(f"{STATE}.torn-*")
    assert aside.name in ended.out
    assert damaged.endswith(aside.read_bytes())
    assert f"State head: {number}:" in ended.out
    assert cli("state", "verify").code == 0
    assert cli("apply", "--auto-approve").code == 0
    assert cli("verify", "--all").code == 0


def test_an_intact_log_is_left_alone_and_asks_nothing(cli, applied, content):
    before = content()
    ended = cli("state", "repair")
    assert (ended.code, ended.out, ended.err) == (0, "The chain is intact: there is nothing to repair.\n", "")
    assert content() == before


def test_damage_in_the_middle_is_refused_before_anything_is_asked(cli, applied):
    damaged = _flip(applied.folder / STATE, 600)
    ended = cli("state", "repair", stdin="yes\n")
    assert ended.code == 1
    assert "other frames follow" in ended.err
    assert "Enter a value" not in ended.err
    assert (applied.folder / STATE).read_bytes() == damaged


def test_nothing_is_put_aside_under_a_run_of_this_machine(cli, applied):
    run = _hold(FileStore(applied.folder / STATE), **whoami(os.environ))
    damaged = _flip(applied.folder / STATE)
    ended = cli("state", "repair", "--auto-approve")
    assert (ended.code, ended.out) == (5, "")
    assert (applied.folder / STATE).read_bytes() == damaged
    run._guard.release()


def test_a_store_that_takes_nothing_back_says_so(cli, project, fake_s3, monkeypatch):
    for name, value in fake_s3.env().items():
        monkeypatch.setenv(name, value)
    create(open_store("s3://bucket/log", environment=fake_s3.env()), SystemClock()).append(
        "", [ev.Recovered("-", 0, "0" * 64)]
    )
    last = max(fake_s3.objects)
    fake_s3.objects[last] = fake_s3.objects[last].replace(b"recovered", b"recoverod")
    ended = cli("state", "repair", "--auto-approve", "--state", "s3://bucket/log")
    assert ended.code == 1
    assert "takes nothing back" in ended.err

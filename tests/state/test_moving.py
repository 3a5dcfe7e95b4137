"""A log moves between stores: the same bytes, one live copy at every moment, whatever interrupts it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import StateError, StateHeld, StateMissing, StoreUnavailable, UsageError
from reconciler.state import events as ev
from reconciler.state.journal import Journal, create
from reconciler.state.moving import migrate
from reconciler.state.stores import s3
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.memory import MemoryStore
from reconciler.state.stores.oscalls import RealCalls
from reconciler.state.stores.urls import open_store
from support.fake_s3 import Answer
from support.moves import fill, lines, live
from support.places import Place, new_place

SAID = [ev.Recovered("-", 0, "0" * 64)]


@pytest.fixture
def places(request, tmp_path, monkeypatch):
    """`places("file", "fake_s3")`: empty places in such stores, closed at the end."""
    made = []
    monkeypatch.setattr(s3, "probe", lambda *_: None)  # has tests of its own, and takes seconds on a real server

    def make(*kinds):
        found = [new_place(kind, request, tmp_path) for kind in kinds]
        made.extend(found)
        return found

    yield make
    for place in made:
        place.close()


ROUND = ["file", "fake_s3", "postgres", "memory", "seaweed", "pgbouncer"]


def test_a_log_moves_through_every_store_and_back_to_the_very_first_file(places, clock):
    visited = places(*ROUND)
    fill(visited[0], clock, 6)
    for source, destination in pairwise([*visited, visited[0]]):
        before = lines(source)
        done = migrate(source.open(), destination.open(), clock)
        after = lines(source)
        assert after[:-1] == before
        assert lines(destination) == after
        journal = Journal(source.open(), clock)
        journal.load()
        assert done.journal.head == journal.head
        assert done.copied == (len(after) if destination is not visited[0] else len(after) - 7)
        assert live(*visited) == [destination]
        done.journal.append("", SAID)
    assert Journal(visited[0].open(), clock).load().position == 6 + 2 * len(ROUND)


@pytest.mark.parametrize("back", ["file", "fake_s3", "postgres"])
def test_a_log_goes_to_and_fro_and_only_what_is_new_is_copied(places, clock, back):
    one, two = places("memory", back)
    fill(one, clock, 6)
    copied = []
    for source, destination in [(one, two), (two, one)] * 3:
        done = migrate(source.open(), destination.open(), clock)
        copied.append(done.copied)
        done.journal.append("", SAID)
        assert live(one, two) == [destination]
    assert copied == [7, 2, 2, 2, 2, 2]
    assert Journal(one.open(), clock).load().position == 18


@pytest.mark.parametrize("kind", ["file", "fake_s3", "postgres"])
def test_the_old_place_refuses_everything_that_writes_and_names_the_new_one(places, clock, begin, kind):
    old, new = places(kind, "memory")
    fill(old, clock, 6)
    journal = Journal(old.open(), clock)
    journal.load()
    migrate(old.open(), new.open(), clock)
    before = lines(old)
    journal.catch_up()
    for write in (
        lambda: begin(Journal(old.open(), clock)),
        lambda: journal.append("", SAID),
        lambda: migrate(old.open(), MemoryStore("third"), clock),
    ):
        with pytest.raises(StateError, match=f"moved to {new.url}") as refused:
            write()
        assert f"--state {new.url}" in refused.value.hint
    assert lines(old) == before


# What refuses a move before the source is given up


def _refuses(source, destination, clock, error=StateError, match=None):
    """The move is refused, and the source is as live as it was."""
    before = list(source.read(0))
    with pytest.raises(error, match=match):
        migrate(source, destination, clock)
    assert list(source.read(0)) == before, "the source was given up for a place that cannot be written"
    journal = Journal(source, clock)
    journal.load()
    journal.require_writable()


def test_there_must_be_a_log(clock):
    _refuses(MemoryStore(), MemoryStore("there"), clock, StateMissing)


@pytest.mark.parametrize("kind", ["memory", "file", "fake_s3", "postgres"])
def test_a_log_does_not_move_to_where_it_is(places, clock, kind):
    (place,) = places(kind)
    fill(place, clock, 6)
    _refuses(place.open(), place.open(), clock, UsageError, "already")


@pytest.mark.parametrize("kind", ["memory", "file", "fake_s3", "postgres"])
@pytest.mark.parametrize("length", [1, 6, 9])
def test_another_log_at_the_destination_is_left_alone(places, clock, kind, length):
    source, destination = places("memory", kind)
    fill(source, clock, 6)
    fill(destination, clock, length)
    theirs = lines(destination)
    _refuses(source.open(), destination.open(), clock, match="another log")
    assert lines(destination) == theirs
    assert live(source, destination) == [source, destination]


@pytest.mark.fault(30)
@pytest.mark.parametrize("kind", ["memory", "file", "fake_s3", "postgres"])
@pytest.mark.parametrize("length", [2, 9])
def test_another_log_that_appears_at_the_destination_in_the_middle_of_a_move_is_left_alone(
    places, clock, kind, length
):
    source, destination = places("memory", kind)
    fill(source, clock, 6)
    moving = source.open()
    honest = moving.read

    def read(after):
        if after == 6 and not lines(destination):  # the last frame is asked for just before the log is taken in
            another = ManualClock()
            another.token()  # or it would be the very same log
            fill(destination, another, length)
        return honest(after)

    moving.read = read
    with pytest.raises(StateError, match=r"another log|exists already"):
        migrate(moving, destination.open(), clock)
    assert len(lines(destination)) == length
    assert destination in live(destination)


@pytest.mark.parametrize("content", [b"", b"{", b'{"v":1,"pos":1,"prev":"000'])
def test_a_file_that_holds_no_log_yet_is_taken_or_refused_before_the_source_is_given_up(
    places, clock, tmp_path, content
):
    (source,) = places("memory")
    fill(source, clock, 6)
    path = tmp_path / "there.jsonl"
    path.write_bytes(content)
    before = lines(source)
    there = FileStore(path)
    try:
        migrate(source.open(), there, clock)
    except StateError:
        assert lines(source) == before
        assert path.read_bytes() == content
    else:
        assert list(there.read(0)) == lines(source)
    there.close()


def test_a_folder_that_cannot_be_written_is_found_out_before_the_source_is_given_up(places, clock):
    (source,) = places("memory")
    fill(source, clock, 6)
    _refuses(source.open(), FileStore(Path("/proc/state.jsonl")), clock)
    _refuses(source.open(), FileStore(Path("/proc/no/state.jsonl")), clock)


@pytest.mark.parametrize(
    ("call", "number"),
    [("create", errno.EACCES), ("create", errno.EROFS), ("create", errno.ENOSPC), ("link", errno.EPERM)],
)
def test_a_disk_that_takes_no_new_file_is_found_out_before_the_source_is_given_up(
    places, clock, tmp_path, call, number
):
    class Refusing(RealCalls):
        def open(self, path, flags, mode=0o600):
            if call == "create" and flags & os.O_CREAT:
                raise OSError(number, os.strerror(number))
            return super().open(path, flags, mode)

        def link(self, path, name):
            if call == "link":  # as on file systems without hard links
                raise OSError(number, os.strerror(number))
            super().link(path, name)

    (source,) = places("memory")
    fill(source, clock, 6)
    _refuses(source.open(), FileStore(tmp_path / "there.jsonl", calls=Refusing()), clock)
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_or_table_that_cannot_be_written_is_found_out_before_the_source_is_given_up(
    places, clock, fake_s3, postgres, monkeypatch
):
    source, bucket = places("memory", "fake_s3")
    fill(source, clock, 6)
    monkeypatch.undo()  # with the probe
    fake_s3.fault = lambda method, key, nth: Answer(403, "AccessDenied") if method == "PUT" else None
    _refuses(source.open(), bucket.open(), clock, StoreUnavailable)
    database = postgres.create_database()
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    read_only = Place("postgres", postgres.url(database))
    _refuses(source.open(), read_only.open(), clock, StoreUnavailable)
    read_only.close()


# Runs


def test_a_run_that_holds_the_log_keeps_it_where_it_is(places, clock, begin):
    source, destination = places("file", "memory")
    fill(source, clock, 6)
    run = begin(Journal(source.open(), clock), actor="alice")
    _refuses(source.open(), destination.open(), clock, StateHeld, "alice")
    run.finish("done")
    migrate(source.open(), destination.open(), clock)


@pytest.mark.fault(30)
@pytest.mark.parametrize("ends", [False, True])
def test_a_run_that_starts_at_the_same_moment_wins_or_loses_whole(places, clock, begin, ends):
    source, destination = places("memory", "memory")
    fill(source, clock, 6)
    store = source.open()
    honest, runs = store.append, []

    def append(line, position):
        if b'"moved"' in line and not runs:
            runs.append(None)
            runs.append(begin(Journal(store, clock)))
            if ends:
                runs[-1].finish("done")
        return honest(line, position)

    store.append = append
    if ends:
        migrate(store, destination.open(), clock)
        assert lines(destination)[-1:] == lines(source)[-1:]
        assert live(source, destination) == [destination]
    else:
        with pytest.raises(StateHeld):
            migrate(store, destination.open(), clock)
        runs[-1].append([ev.LeaseRenewed()])
        assert lines(destination) == []


def test_a_run_that_was_waiting_when_the_log_moved_does_not_start_here(places, clock, begin):
    source, destination = places("memory", "memory")
    fill(source, clock, 6)
    run = begin(Journal(source.open(), clock))

    def on_wait(holder, left):
        run.finish("done")
        migrate(source.open(), destination.open(), clock)

    with pytest.raises(StateError, match="moved to"):
        begin(Journal(source.open(), clock), lock_timeout=60.0, on_wait=on_wait)
    assert b"run_started" not in lines(source)[-1]


# Names of files


@pytest.fixture
def file_at(tmp_path):
    """`file_at("a/s.jsonl")`: the file of that relative name, as the command line opens it in `tmp_path`."""
    opened = []

    def file_at(name, root=""):
        folder = tmp_path / root
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        store = open_store(f"file:{name}", root=folder)
        opened.append(store)
        return store

    yield file_at
    for store in opened:
        store.close()


def _begin(store, clock):
    create(store, clock)
    return store


def _takes(store, clock):
    journal = Journal(store, clock)
    journal.load()
    try:
        journal.require_writable()
    except StateError:
        return False
    return True


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("s.jsonl", "sub/s.jsonl"),
        ("sub/s.jsonl", "s.jsonl"),  # whatever is called s.jsonl could be meant: the source, too
        ("a/b/s.jsonl", "b/s.jsonl"),
        ("s.jsonl", "other.jsonl"),
        ("./s.jsonl", "./sub/../other.jsonl"),
        ("s.jsonl", "../s.jsonl"),
        ("s\n\u00e9.jsonl", "x y#?%.jsonl"),
    ],
)
def test_a_relative_name_never_means_the_file_that_was_left(file_at, clock, tmp_path, here, there):
    (tmp_path / "root" / "sub").mkdir(parents=True)
    migrate(_begin(file_at(here, "root"), clock), file_at(there, "root"), clock)
    assert not _takes(file_at(here, "root"), clock)
    assert _takes(file_at(there, "root"), clock)
    absolute = str(tmp_path / "root" / here), str(tmp_path / "root" / there)
    assert [_takes(FileStore(Path(name)), clock) for name in absolute] == [False, True]


def test_a_file_that_is_committed_is_found_in_every_checkout(file_at, clock, tmp_path):
    migrate(_begin(MemoryStore(), clock), file_at("states/s.jsonl", "one"), clock)
    (tmp_path / "two" / "states").mkdir(parents=True)
    (tmp_path / "two" / "states" / "s.jsonl").write_bytes((tmp_path / "one" / "states" / "s.jsonl").read_bytes())
    assert _takes(file_at("states/s.jsonl", "two"), clock)
    assert _takes(file_at("s.jsonl", "two/states"), clock)
    (tmp_path / "two" / "copy.jsonl").write_bytes((tmp_path / "one" / "states" / "s.jsonl").read_bytes())
    assert not _takes(file_at("copy.jsonl", "two"), clock)


def test_an_absolute_name_means_one_file_through_whatever_folder_it_is_reached(file_at, clock, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    migrate(_begin(MemoryStore(), clock), FileStore(tmp_path / "link" / "s.jsonl"), clock)
    assert _takes(FileStore(tmp_path / "real" / "s.jsonl"), clock)
    assert _takes(file_at("s.jsonl", "link"), clock)
    (tmp_path / "other.jsonl").write_bytes((tmp_path / "real" / "s.jsonl").read_bytes())
    assert not _takes(FileStore(tmp_path / "other.jsonl"), clock)


def test_a_move_to_the_same_file_by_another_name_leaves_one_live_log(file_at, clock, tmp_path):
    (tmp_path / "link").symlink_to(".")
    _begin(file_at("s.jsonl"), clock)
    with suppress(StateError):
        migrate(file_at("s.jsonl"), file_at("link/s.jsonl"), clock)
    assert _takes(file_at("s.jsonl"), clock) or _takes(file_at("link/s.jsonl"), clock)

"""Appends whose outcome is in doubt, and the checks around a log."""

from __future__ import annotations

import errno

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import StateDamaged, StateError, StateTooNew, StoreUnavailable, UsageError
from reconciler.state import events as ev
from reconciler.state.journal import Journal, create
from reconciler.state.placing import PAUSE_CAP, TRIES, HeadMoved
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.interface import Conflict, Done, Store, Unknown
from reconciler.state.stores.memory import MemoryStore

LOST = Unknown(StoreUnavailable("the connection was cut"))


class Flaky(Store):
    """A store before which answers get lost. `script` names what happens to each append, then all goes well."""

    def __init__(self, inner, *script):
        self.url = inner.url
        self.inner = inner
        self.script = list(script)
        self.unreadable = 0
        self.appends = 0

    def read(self, after):
        if self.unreadable:
            self.unreadable -= 1
            raise StoreUnavailable("no answer")
        yield from self.inner.read(after)

    def append(self, line, position):
        self.appends += 1
        what = self.script.pop(0) if self.script else "ok"
        if callable(what):
            return what(line, position)
        if what == "lost before":
            return LOST
        outcome = self.inner.append(line, position)
        return LOST if what == "lost after" else Conflict() if what == "conflict after" else outcome

    def exists(self):
        return self.inner.exists()

    def receive(self, lines, last, clock):
        self.inner.receive(lines, last, clock)


EVENTS = [ev.Moved("memory:")]


@pytest.fixture
def flaky(clock):
    """Make a journal whose next appends follow a script."""

    def make(*script):
        inner = MemoryStore()
        create(inner, clock)
        journal = Journal(Flaky(inner, *script), clock)
        journal.load()
        return journal

    return make


@pytest.mark.parametrize(
    "script",
    [
        ["lost before"],
        ["lost after"],
        ["conflict after"],
        ["lost before", "lost before", "lost after"],
        ["lost before", "conflict after"],
        ["lost after", "lost after"],
    ],
)
def test_a_lost_answer_neither_loses_nor_repeats_the_frame(flaky, script):
    journal = flaky(*script)
    frame = journal.append("", EVENTS)
    assert list(journal.store.inner.read(0))[1:] == [frame.line]
    assert journal.position == 2


def test_an_answer_that_cannot_be_read_back_at_first_is_found_out_later(flaky):
    journal = flaky("lost after")
    journal.store.unreadable = 2
    frame = journal.append("", EVENTS)
    assert list(journal.store.inner.read(1)) == [frame.line]


def test_a_conflict_with_somebody_elses_frame_is_said(flaky, clock):
    journal = flaky("lost before")
    other = Journal(journal.store.inner, clock)
    other.load()
    theirs = other.append("", EVENTS)
    with pytest.raises(HeadMoved):
        journal.append("", EVENTS)
    assert list(journal.store.inner.read(1)) == [theirs.line]
    assert journal.position == 1
    journal.catch_up()
    assert journal.position == 2


def test_an_unreachable_store_is_given_up_after_bounded_tries(flaky, clock):
    journal = flaky(*["lost before"] * 50)
    with pytest.raises(StoreUnavailable, match="not known"):
        journal.append("", EVENTS)
    assert journal.store.appends == TRIES
    assert sum(clock.slept) <= TRIES * PAUSE_CAP
    assert sum(clock.slept) < 30
    assert journal.position == 1


def test_a_store_that_has_said_its_last_word_is_not_asked_again(flaky, clock):
    journal = flaky(lambda *_: Unknown(StoreUnavailable("disk full"), retry=False))
    with pytest.raises(StoreUnavailable, match="disk full"):
        journal.append("", EVENTS)
    assert journal.store.appends == 1
    assert clock.slept == []


def test_a_store_that_refuses_a_position_and_shows_nothing_there_is_not_believed(flaky):
    journal = flaky(*[lambda *_: Conflict()] * 50)
    with pytest.raises(StoreUnavailable, match="shows nothing"):
        journal.append("", EVENTS)


def test_a_second_init_changes_nothing_and_names_lineage_and_head(handles, clock):
    journal = create(handles(), clock)
    with pytest.raises(StateError, match=f"lineage {journal.fold.lineage}, head {journal.head}"):
        create(handles(), clock)
    assert len(list(handles().read(0))) == 1


def test_two_inits_at_once_make_one_log(clock):
    inner = MemoryStore()

    def other_first(line, position):
        create(inner, clock)
        return inner.append(line, position)

    with pytest.raises(StateError, match="exists already"):
        create(Flaky(inner, other_first), clock)
    assert len(list(inner.read(0))) == 1


def test_a_refresh_reads_only_what_is_new(handles, clock):
    journal = create(handles(), clock)
    reader = Journal(handles(), clock)
    reader.load()
    asked = []
    read = reader.store.read
    reader.store.read = lambda after: asked.append(after) or read(after)
    journal.append("", [ev.Moved(journal.store.address())])
    reader.catch_up()
    assert reader.position == 2
    assert asked == [1]


def test_an_unknown_kind_is_read_and_stops_writers(handles, clock):
    journal = create(handles(), clock)
    journal.append("", [ev.Unknown({"kind": "blessed", "by": "a later version"})])
    reader = Journal(handles(), clock)
    assert reader.load().unknown_kinds == ("blessed",)
    with pytest.raises(StateTooNew, match="blessed"):
        reader.append("", EVENTS)
    assert len(list(handles().read(0))) == 2


def test_a_run_does_not_start_on_a_log_of_a_later_version(handles, clock, begin):
    create(handles(), clock).append("", [ev.Unknown({"kind": "blessed"})])
    with pytest.raises(StateTooNew):
        begin(Journal(handles(), clock))
    assert len(list(handles().read(0))) == 2


def test_a_moved_log_is_not_written_any_more(handles, clock):
    journal = create(handles(), clock)
    journal.append("", [ev.Moved("s3://bucket/new")])
    with pytest.raises(StateError, match="s3://bucket/new"):
        journal.append("", EVENTS)


def test_what_no_reader_would_accept_is_not_written(handles, clock):
    journal = create(handles(), clock)
    for events in (
        [ev.LeaseRenewed()],
        [ev.Accepted(1, "m")],
        [ev.Header("x")],
        [ev.Recovered("\udcff", 1, "a" * 64)],
    ):
        with pytest.raises(StateError, match="cannot be recorded"):
            journal.append("nobody", events)
    assert len(list(handles().read(0))) == 1


def test_a_remembered_head_proves_the_log_before_it(handles, clock):
    journal = create(handles(), clock)
    heads = [journal.head]
    for _ in range(3):
        journal.append("", [ev.Moved(journal.store.address())])
        heads.append(journal.head)
    reader = Journal(handles(), clock)
    for head in heads:
        reader.check_head(head)
    reader.check_head("0:" + "0" * 64)
    with pytest.raises(StateDamaged, match="another"):
        reader.check_head("2:" + "a" * 64)
    with pytest.raises(StateDamaged, match="backwards"):
        reader.check_head("9:" + "a" * 64)


@pytest.mark.parametrize("head", ["", "3", "x:" + "a" * 64, "1:abc", "²:" + "a" * 64])
def test_what_is_no_head_is_a_mistake_of_the_caller(journal, head):
    with pytest.raises(UsageError, match="not a head"):
        journal.check_head(head)


def test_a_log_restored_from_a_backup_is_seen_by_its_head(path, journal):
    backup = path.read_bytes()
    journal.append("", [ev.Moved(journal.store.address())])
    remembered = journal.head
    journal.store.close()
    path.write_bytes(backup)
    with pytest.raises(StateDamaged, match="went backwards"):
        Journal(FileStore(path), ManualClock()).check_head(remembered)


def test_the_state_as_it_was_at_a_position(handles, clock, begin):
    journal = create(handles(), clock)
    run = begin(journal)
    run.finish("done")
    assert journal.at(0).lineage == ""
    assert journal.at(1).runs == ()
    assert journal.at(2).open_run is not None
    assert journal.at(3).open_run is None
    with pytest.raises(StateDamaged, match="backwards"):
        journal.at(4)


def test_a_full_disk_while_creating_is_an_error_at_once(path, faulty, always, clock):
    faulty.fail["pwrite"] = always(errno.ENOSPC)
    with pytest.raises(StoreUnavailable, match="No space left"):
        create(FileStore(path, calls=faulty), clock)
    assert clock.slept == []
    assert create(FileStore(path), clock).position == 1


def test_done_conflict_and_unknown_are_values():
    assert Done() == Done()
    assert Conflict() != Done()
    assert hash(LOST) == hash(LOST)

"""The file store: what the disk and the neighbours can do to it. Names say what is prevented."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from pathlib import Path

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import StateDamaged, StateError, StateMissing, StoreUnavailable
from reconciler.state import events as ev
from reconciler.state.frames import GENESIS, seal
from reconciler.state.journal import Journal, create
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.interface import Done, Unknown
from reconciler.state.stores.oscalls import RealCalls

HEADER = seal(1, GENESIS, "n", "2026-11-22T12:00:00.000Z", "", [ev.Header("l" * 32)])
NEXT = seal(2, HEADER.hash, "n2", "2026-11-22T12:00:00.000Z", "", [ev.Moved("x")])


@pytest.fixture
def begun(path, faulty):
    store = FileStore(path, calls=faulty)
    assert store.append(HEADER.line, 1) == Done()
    faulty.log.clear()
    yield store
    store.close()


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o277])
def test_other_users_cannot_read_the_state_whatever_the_umask(path, umask):
    before = os.umask(umask)
    try:
        assert FileStore(path).append(HEADER.line, 1) == Done()
    finally:
        os.umask(before)
    assert _mode(path) == 0o600
    assert FileStore(path).warnings() == ()


def test_a_state_that_others_can_read_is_warned_of_and_left_as_it_is(path):
    path.write_bytes(HEADER.line)
    path.chmod(0o644)
    (warning,) = FileStore(path).warnings()
    assert "0644" in warning
    assert _mode(path) == 0o644


def _written_and_synced(calls):
    """What was written and synced, in order; the first append syncs the directory, too."""
    return [name for name in calls.log if name in ("pwrite", "fsync")]


@pytest.mark.fault(4)
def test_nothing_is_acknowledged_before_it_and_its_directory_are_synced(path, faulty):
    store = FileStore(path, calls=faulty)
    assert store.append(HEADER.line, 1) == Done()
    assert _written_and_synced(faulty) == ["pwrite", "fsync", "fsync", "pwrite", "fsync"]
    faulty.log.clear()
    assert store.append(NEXT.line, 2) == Done()
    assert _written_and_synced(faulty) == ["pwrite", "fsync", "pwrite", "fsync"]


def test_the_line_end_is_written_alone_when_all_before_it_is_durable(begun, path, faulty):
    seen = []
    faulty.fail["pwrite"] = lambda: seen.append(path.read_bytes())
    assert begun.append(NEXT.line, 2) == Done()
    assert seen == [HEADER.line, HEADER.line + NEXT.line[:-1] + b"\0"]


@pytest.mark.fault(4)
def test_a_second_process_syncs_the_directory_that_a_dead_creator_may_not_have(begun, path, faulty):
    assert FileStore(path, calls=faulty).append(NEXT.line, 2) == Done()
    assert _written_and_synced(faulty) == ["pwrite", "fsync", "fsync", "pwrite", "fsync"]


@pytest.mark.fault(5)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_the_log_as_it_was_and_is_not_tried_again(begun, path, faulty, always, number):
    faulty.short = 10  # some of it is written before the disk is full
    faulty.fail["pwrite"] = always(number)
    outcome = begun.append(NEXT.line, 2)
    assert isinstance(outcome, Unknown)
    assert not outcome.retry
    assert isinstance(outcome.error, StoreUnavailable)
    assert outcome.error.hint
    assert path.read_bytes() == HEADER.line
    faulty.fail.clear()
    faulty.short = None
    assert begun.append(NEXT.line, 2) == Done()  # there is space again


@pytest.mark.fault(5)
def test_a_write_in_pieces_is_still_one_line(begun, path, faulty):
    faulty.short = 7
    assert begun.append(NEXT.line, 2) == Done()
    assert path.read_bytes() == HEADER.line + NEXT.line


@pytest.mark.fault(5)
def test_a_half_written_line_that_cannot_be_removed_ends_the_use_of_the_handle(begun, path, faulty, always):
    faulty.short = len(NEXT.line) - 5
    faulty.fail = {"pwrite": always(errno.EIO), "ftruncate": always(errno.EIO)}
    assert isinstance(begun.append(NEXT.line, 2), Unknown)
    faulty.fail, faulty.short = {}, None
    outcome = begun.append(NEXT.line, 2)
    assert isinstance(outcome, Unknown)
    assert not outcome.retry
    with pytest.raises(StoreUnavailable):
        list(begun.read(0))


@pytest.mark.fault(6)
def test_what_could_not_be_synced_is_never_acknowledged_nor_anything_after_it(begun, path, faulty, once):
    faulty.fail["fsync"] = once(errno.EIO)
    outcome = begun.append(NEXT.line, 2)
    assert isinstance(outcome, Unknown)
    assert not outcome.retry
    faulty.fail.clear()
    assert isinstance(begun.append(NEXT.line, 2), Unknown)
    with pytest.raises(StoreUnavailable, match="durable"):
        list(begun.read(0))  # what the cache says proves nothing
    assert list(FileStore(path).read(0)) == [HEADER.line]


@pytest.mark.fault(6)
def test_a_journal_does_not_take_an_unsynced_frame_for_its_own(path, faulty, once, clock):
    journal = create(FileStore(path, calls=faulty), clock)
    faulty.fail["fsync"] = once(errno.EIO)
    with pytest.raises(StoreUnavailable):
        journal.append("", [ev.Moved(journal.store.url)])
    assert journal.position == 1
    assert clock.slept == []


def test_a_file_system_whose_locks_do_not_exclude_is_refused_and_nothing_is_written(path, faulty):
    class Pretending(type(faulty)):
        def flock(self, handle, operation):
            pass

    outcome = FileStore(path, calls=Pretending()).append(HEADER.line, 1)
    assert isinstance(outcome, Unknown)
    assert "do not exclude" in outcome.error.message
    assert path.read_bytes() == b""


def test_a_file_system_without_locks_is_refused(path, faulty, always):
    faulty.fail["flock"] = always(errno.ENOLCK)
    outcome = FileStore(path, calls=faulty).append(HEADER.line, 1)
    assert isinstance(outcome, Unknown)
    assert not outcome.retry


def test_a_stopped_neighbour_does_not_make_us_wait_for_ever(begun, path, faulty):
    other = os.open(path, os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    outcome = begun.append(NEXT.line, 2)
    os.close(other)
    assert isinstance(outcome, Unknown)
    assert "another process" in outcome.error.message
    assert 30 <= faulty.slept < 32
    assert path.read_bytes() == HEADER.line


@pytest.mark.fault(9)
def test_a_file_put_in_place_of_the_state_is_not_written(begun, path, tmp_path):
    copy = tmp_path / "copy"
    copy.write_bytes(HEADER.line)
    copy.rename(path)
    outcome = begun.append(NEXT.line, 2)
    assert isinstance(outcome, Unknown)
    assert isinstance(outcome.error, StateDamaged)
    assert path.read_bytes() == HEADER.line
    with pytest.raises(StateDamaged, match="replaced"):
        list(begun.read(0))


@pytest.mark.fault(9)
def test_a_state_rolled_back_in_place_went_backwards(begun, path):
    begun.append(NEXT.line, 2)
    path.write_bytes(HEADER.line)
    with pytest.raises(StateDamaged, match="backwards"):
        list(begun.read(2))
    assert isinstance(begun.append(NEXT.line, 3), Unknown)
    assert path.read_bytes() == HEADER.line


@pytest.mark.fault(9)
def test_a_frame_changed_in_place_behind_a_writer_is_noticed_before_the_next_append(begun, path):
    content = bytearray(HEADER.line)
    content[-10] ^= 1
    path.write_bytes(content)
    outcome = begun.append(NEXT.line, 2)
    assert isinstance(outcome, Unknown)
    assert isinstance(outcome.error, StateDamaged)


@pytest.mark.fault(9)
def test_a_state_removed_under_a_run_is_not_made_anew(begun, path):
    path.unlink()
    with pytest.raises(StateDamaged, match="removed"):
        list(begun.read(0))
    assert isinstance(begun.append(NEXT.line, 2), Unknown)
    assert not path.exists()


def _directory(path):
    path.mkdir()


def _pipe(path):
    os.mkfifo(path)


def _link(path):
    aim = path.with_name("elsewhere")
    aim.write_bytes(HEADER.line)
    path.symlink_to(aim)


def _dangling(path):
    path.symlink_to(path.with_name("nothing"))


@pytest.mark.fault(7)
@pytest.mark.parametrize("make", [_directory, _pipe, _link, _dangling])
def test_what_is_not_a_regular_file_is_refused_at_once(path, make):
    make(path)
    store = FileStore(path)
    with pytest.raises(StateError, match=r"not a regular file|symbolic link"):
        store.exists()
    outcome = store.append(HEADER.line, 1)
    assert isinstance(outcome, Unknown)
    assert not outcome.retry
    assert not path.with_name("nothing").exists()


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"hello\n",
        b"version: 1\nabsent: []\n",
        b"{}\n",
        b'{"v":1}\n',
        b"\xef\xbb\xbf" + HEADER.line,
        b"\x00\xff" * 999,
    ],
    ids=["a word", "a text", "a manifest", "JSON", "nearly", "a byte order mark", "binary"],
)
def test_a_file_that_is_not_a_state_is_neither_read_nor_moved_nor_written(path, content, clock):
    path.write_bytes(content)
    store = FileStore(path)
    with pytest.raises(StateDamaged):
        Journal(store, clock).load()
    with pytest.raises(StateError):
        create(FileStore(path), clock)
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.fault(7)
def test_a_state_with_converted_line_ends_is_damage(path, clock):
    path.write_bytes((HEADER.line + NEXT.line).replace(b"\n", b"\r\n"))
    with pytest.raises(StateDamaged, match="frame 1"):
        Journal(FileStore(path), clock).load()


@pytest.mark.fault(7)
def test_a_directory_that_does_not_exist_is_named_not_created(tmp_path, clock):
    store = FileStore(tmp_path / "no" / "state.jsonl")
    assert not store.exists()
    with pytest.raises(StoreUnavailable, match=r"no/state\.jsonl"):
        create(store, clock)
    assert not (tmp_path / "no").exists()


@pytest.mark.fault(7)
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_state_that_may_not_be_written_is_a_clear_error(path, faulty, always, number, clock):
    faulty.fail["open"] = lambda: number if faulty.log.count("open") > 2 else None
    with pytest.raises(StoreUnavailable) as caught:
        create(FileStore(path, calls=faulty), clock)
    assert caught.value.hint
    assert not path.exists()


@pytest.mark.fault(7)
@pytest.mark.skipif(os.getuid() == 0, reason="root writes to read-only files; the seam covers it")
def test_a_read_only_file_is_a_clear_error(begun, path):
    path.chmod(0o400)
    outcome = FileStore(path).append(NEXT.line, 2)
    assert isinstance(outcome, Unknown)
    assert not outcome.retry


@pytest.mark.fault(7)
@pytest.mark.skipif(not Path("/dev/full").exists() or sys.platform != "linux", reason="no /dev/full here")
def test_a_device_is_refused():
    assert isinstance(FileStore(Path("/dev/full")).append(HEADER.line, 1), Unknown)


def test_a_line_in_flight_is_not_read(begun, path):
    with path.open("ab") as file:
        file.write(NEXT.line[:-1])
    assert list(begun.read(0)) == [HEADER.line]
    assert path.read_bytes() == HEADER.line + NEXT.line[:-1]


def test_a_torn_tail_is_put_aside_and_announced_in_the_log(path, clock):
    create(FileStore(path), clock)
    good = path.read_bytes()
    torn = NEXT.line[:57]
    path.write_bytes(good + torn)
    journal = Journal(FileStore(path), clock)
    journal.load()
    frame = journal.append("", [ev.Moved(journal.store.url)])
    (aside,) = path.parent.glob("state.jsonl.torn-*")
    assert aside.read_bytes() == torn
    assert _mode(aside) == 0o600
    assert isinstance(frame.events[0], ev.Recovered)
    assert (frame.events[0].path, frame.events[0].size) == (aside.name, 57)
    assert path.read_bytes() == good + frame.line
    again = journal.append("", [ev.Moved(journal.store.url)])
    assert len(again.events) == 1  # once


def test_a_creation_cut_short_is_continued(path, clock):
    path.write_bytes(HEADER.line[:40] + b"\0" * 30)
    journal = create(FileStore(path), clock)
    assert journal.position == 1
    assert len(list(path.parent.glob("*.torn-*"))) == 1
    assert Journal(FileStore(path), clock).load().lineage == journal.fold.lineage


@pytest.mark.fault(5)
def test_a_torn_tail_that_cannot_be_kept_is_not_thrown_away(path, faulty, always):
    path.write_bytes(HEADER.line + b"torn")
    store = FileStore(path, calls=faulty)
    faulty.fail["pwrite"] = always(errno.ENOSPC)
    assert isinstance(store.append(NEXT.line, 2), Unknown)
    assert path.read_bytes() == HEADER.line + b"torn"


@pytest.mark.fault(8)
def test_a_damaged_last_line_is_reported_and_never_put_aside(path, clock):
    create(FileStore(path), clock)
    content = path.read_bytes() + NEXT.line.replace(b'"moved"', b'"mooed"')
    path.write_bytes(content)
    with pytest.raises(StateDamaged, match="frame 2"):
        Journal(FileStore(path), clock).load()
    assert path.read_bytes() == content
    assert not list(path.parent.glob("*.torn-*"))


def test_an_empty_file_is_an_empty_state(path, begin):
    path.touch()
    journal = Journal(FileStore(path), ManualClock())
    assert journal.load().position == 0
    with pytest.raises(StateMissing):
        begin(journal)


@pytest.mark.parametrize("beyond", [0, 40])
def test_a_line_end_that_was_being_written_is_read_again_and_damage_stays_damage(begun, path, beyond):
    begun.append(NEXT.line, 2)
    whole = path.read_bytes()
    end = len(whole) - len(NEXT.line) - 1  # of the header's line

    class AMomentAgo(RealCalls):
        """Its first read is of a moment ago: the header's line has no end yet, whatever follows it now."""

        def pread(self, handle, size, offset):
            found = super().pread(handle, size, offset)
            if offset == 0 and not self.seen:
                self.seen = True
                return (found[:end] + b"\0" + found[end + 1 :])[: end + 1 + beyond]
            return found

        seen = False

    assert list(FileStore(path, calls=AMomentAgo()).read(0)) == whole.splitlines(keepends=True)
    path.write_bytes(whole[:40] + b"\0" + whole[41:])
    with pytest.raises(StateDamaged, match="frame 1"):
        Journal(FileStore(path), ManualClock()).load()

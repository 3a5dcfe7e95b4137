"""Every byte of a small log, changed or cut off: refused, or put aside and reported; never silent."""

from __future__ import annotations

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import StateDamaged, StateError
from reconciler.state import events as ev
from reconciler.state import journal as journal_module
from reconciler.state.frames import seal
from reconciler.state.journal import Journal, create
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.oscalls import RealCalls


@pytest.fixture
def log(journal, path, begin, target_and_declaration):
    """A small log of one run: its bytes, its head, and where its lines end."""
    run = begin(journal)
    run.append(target_and_declaration)
    run.append([ev.Intent(1, 1, [[[1], 2]], ["a\n", "é"])])
    run.append([ev.Accepted(1, "m-1")])
    run.finish("done")
    content = path.read_bytes()
    return content, journal.head, [i + 1 for i, byte in enumerate(content) if byte == 0x0A]


class Unsynced(RealCalls):
    """Two thousand logs are written here, and none must survive a power cut."""

    def fsync(self, handle):
        pass

    def fdatasync(self, handle):
        pass


def _use(path, content):
    """Open the log, and append to it: (what was read, the journal)."""
    for each in path.parent.iterdir():
        each.unlink()
    path.write_bytes(content)
    journal = Journal(FileStore(path, calls=Unsynced()), ManualClock())
    journal.load()
    read = journal.position
    journal.append("", [ev.Recovered("-", 0, "0" * 64)])
    journal.store.close()
    return read, journal


@pytest.mark.fault(8)
def test_every_flipped_bit_is_refused_or_put_aside_and_reported(log, path, cases):
    content, head, ends = log
    refused = aside = 0
    for index in range(len(content)):
        damaged = bytearray(content)
        damaged[index] ^= 1 << (index % 8)
        try:
            read, journal = _use(path, bytes(damaged))
        except StateError:
            refused += 1
            assert path.read_bytes() == damaged, "a log that is refused is left as it is"
            assert not list(path.parent.glob("*.torn-*"))
            continue
        # Only the last line end can look like a line that was never finished.
        assert index == len(content) - 1
        (torn,) = path.parent.glob("*.torn-*")
        assert torn.read_bytes() == damaged[ends[-2] :]
        assert read == len(ends) - 1
        with pytest.raises(StateDamaged):
            journal.check_head(head)
        aside += 1
    assert (refused, aside) == (len(content) - 1, 1)
    cases(len(content))


@pytest.mark.fault(8)
def test_every_truncation_is_refused_or_put_aside_and_a_remembered_head_shows_it(log, path, monkeypatch, cases):
    monkeypatch.setattr(journal_module, "seal", seal)  # the same frame two thousand times: not against the schema
    content, head, ends = log
    for size in range(1, len(content)):
        cut = content[:size]
        whole = sum(end <= size for end in ends)
        read, journal = _use(path, cut) if size >= ends[0] else (0, None)
        assert read == whole
        torn = list(path.parent.glob("*.torn-*"))
        if journal is None:
            continue
        assert bool(torn) == (size not in ends)
        if torn:
            assert torn[0].read_bytes() == cut[ends[whole - 1] :]
            assert '"kind":"recovered"' in path.read_text("utf-8")
        with pytest.raises(StateDamaged):
            journal.check_head(head)
    cases(len(content) - ends[0])


@pytest.mark.fault(8)
@pytest.mark.parametrize("first", range(5))
def test_two_frames_that_changed_places_are_refused(log, path, first):
    content, _, _ = log
    lines = content.splitlines(keepends=True)
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    with pytest.raises(StateDamaged):
        _use(path, b"".join(lines))


@pytest.mark.fault(8)
@pytest.mark.parametrize("index", range(6))
def test_a_frame_that_is_there_twice_is_refused(log, path, index):
    lines = log[0].splitlines(keepends=True)
    with pytest.raises(StateDamaged):
        _use(path, b"".join([*lines[: index + 1], *lines[index:]]))


@pytest.mark.fault(8)
@pytest.mark.parametrize("index", range(5))
def test_a_frame_that_is_missing_is_refused(log, path, index):
    lines = log[0].splitlines(keepends=True)
    with pytest.raises(StateDamaged):
        _use(path, b"".join(lines[:index] + lines[index + 1 :]))


@pytest.mark.fault(8)
def test_the_tail_of_another_log_is_refused(log, path, tmp_path):
    other = tmp_path / "other"
    clock = ManualClock()
    clock.token()
    clock.token()
    strange = create(FileStore(other), clock)
    strange.append("", [ev.Moved(strange.store.url)])
    tail = other.read_bytes().splitlines(keepends=True)[1]
    with pytest.raises(StateDamaged):
        _use(path, log[0].splitlines(keepends=True)[0] + tail)

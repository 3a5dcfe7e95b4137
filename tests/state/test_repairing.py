"""`state repair`: the damaged last frame of a file is put aside and kept; nothing else is ever taken back."""

from __future__ import annotations

import errno
import hashlib
import stat

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import StateDamaged, StateError, StateHeld
from reconciler.state import events as ev
from reconciler.state import moving
from reconciler.state.frames import GENESIS, parse, seal
from reconciler.state.journal import Journal, create
from reconciler.state.repairing import find_damage, repair, require_repairable
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.memory import MemoryStore
from reconciler.state.stores.urls import open_store
from support.places import new_place

SAID = [ev.Recovered("-", 0, "0" * 64)]


def _fill(store, clock, count=4):
    """A log of `count` frames: its lines."""
    journal = create(store, clock)
    for _ in range(count - 1):
        journal.append("", SAID)
    lines = list(store.read(0))
    store.close()
    return lines


@pytest.fixture
def lines(path, clock):
    return _fill(FileStore(path), clock)


def _flip(line, index=-80):
    changed = bytearray(line)
    changed[index] ^= 0x01
    return bytes(changed)


def _aside(path):
    return sorted(path.parent.glob("state.jsonl.torn-*"))


@pytest.fixture
def mend(clock):
    """Repairs the file at a path: the journal afterwards and what was put aside."""
    opened = []

    def mend(path, **options):
        store = FileStore(path, **options)
        opened.append(store)
        damage = find_damage(store)
        assert damage is not None
        return repair(store, damage, clock)

    yield mend
    for store in opened:
        store.close()


def test_there_is_no_damage_in_an_intact_log_of_any_store(handles, clock):
    assert find_damage(handles()) is None
    _fill(handles(), clock)
    assert find_damage(handles()) is None


@pytest.mark.fault(8)
def test_whatever_byte_of_the_last_frame_is_damaged_it_is_kept_as_it_was_and_the_log_goes_on(
    path, lines, mend, cases
):
    intact = b"".join(lines[:-1])
    indexes = range(
        0, len(lines[-1]) - 1, 3
    )  # without its LF it would be no line: writers put that aside themselves
    for index in indexes:
        damaged = _flip(lines[-1], index)
        if b"\n" in damaged[:-1]:
            continue
        path.write_bytes(intact + damaged)
        journal, found = mend(path)
        (aside,) = _aside(path)
        assert aside.read_bytes() == damaged
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
        assert (found.path, found.size) == (aside.name, len(damaged))
        assert found.sha256 == hashlib.sha256(damaged).hexdigest()
        assert path.read_bytes().startswith(intact)
        assert parse(path.read_bytes()[len(intact) :]).events == (found,)
        assert Journal(FileStore(path), ManualClock()).load().position == journal.position == len(lines)
        aside.unlink()
    cases(len(indexes))


@pytest.mark.fault(8)
@pytest.mark.parametrize("position", [1, 2, 3])
def test_damage_before_the_last_frame_is_refused_and_left_as_it_is(path, lines, mend, position):
    content = [_flip(line) if at == position else line for at, line in enumerate(lines, 1)]
    path.write_bytes(b"".join(content))
    damage = find_damage(FileStore(path))
    assert (damage.position, damage.last, damage.line) == (position, False, content[position - 1])
    with pytest.raises(StateDamaged, match="other frames follow") as refused:
        mend(path)
    assert "state pull" in refused.value.hint
    assert path.read_bytes() == b"".join(content)
    assert _aside(path) == []


def test_a_damaged_header_is_refused_although_nothing_follows_it(path, lines, mend):
    path.write_bytes(_flip(lines[0]))
    with pytest.raises(StateDamaged, match="it is the header"):
        mend(path)
    assert path.read_bytes() == _flip(lines[0])


@pytest.mark.parametrize("tail", [b"x\n", b"\n", b"{}\n", b"\x00" * 40 + b"\n"])
def test_a_last_line_that_never_was_a_frame_is_put_aside(path, lines, mend, tail):
    path.write_bytes(b"".join(lines) + tail)
    journal, found = mend(path)
    assert (journal.position, found.size) == (len(lines) + 1, len(tail))
    assert _aside(path)[0].read_bytes() == tail


def test_a_last_frame_that_contradicts_the_log_is_put_aside_although_its_hash_is_right(path, lines, mend):
    last = parse(lines[-1])
    strange = seal(len(lines) + 1, last.hash, "n", "2026-11-22T12:00:00.000Z", "r", [ev.Accepted(9, "m-9")])
    path.write_bytes(b"".join(lines) + strange.line)
    with pytest.raises(StateDamaged):
        Journal(FileStore(path), ManualClock()).load()
    mend(path)
    assert _aside(path)[0].read_bytes() == strange.line


def test_a_frame_of_a_later_version_is_no_damage(path, lines):
    strange = lines[-1].replace(b'{"v":1', b'{"v":2')
    digest = hashlib.sha256(strange[: strange.rindex(b',"hash"')]).hexdigest().encode()
    path.write_bytes(b"".join(lines[:-1]) + strange[: strange.rindex(b':"') + 2] + digest + b'"}\n')
    with pytest.raises(StateError, match="format 2"):
        find_damage(FileStore(path))


@pytest.mark.parametrize("changed", ["another line", "one more", "one less"])
def test_what_changed_since_it_was_looked_at_is_not_touched(path, lines, clock, changed):
    path.write_bytes(b"".join(lines[:-1]) + _flip(lines[-1]))
    store = FileStore(path)
    damage = find_damage(store)
    content = {
        "another line": b"".join(lines),
        "one more": b"".join(lines[:-1]) + _flip(lines[-1]) + lines[-1],
        "one less": b"".join(lines[:-1]),
    }[changed]
    path.write_bytes(content)
    with pytest.raises(StateError):
        repair(FileStore(path), damage, clock)
    assert path.read_bytes() == content
    assert _aside(path) == []


def test_nothing_is_put_aside_while_a_run_of_this_machine_uses_the_log(path, clock, begin, mend):
    journal = create(FileStore(path), clock)
    run = begin(journal)
    run.append([ev.LeaseRenewed()])
    content = path.read_bytes()
    damaged = content[: content[:-1].rindex(b"\n") + 1] + _flip(content[content[:-1].rindex(b"\n") + 1 :])
    path.write_bytes(damaged)
    with pytest.raises(StateHeld, match="on this machine"):
        mend(path)
    assert path.read_bytes() == damaged
    run._guard.release()  # it dies
    mend(path)
    journal.store.close()


def test_after_a_repair_the_lock_of_the_machine_is_free(path, lines, mend, begin):
    path.write_bytes(b"".join(lines[:-1]) + _flip(lines[-1]))
    journal, _ = mend(path)
    begin(journal)
    assert journal.fold.open_guard


def test_what_a_writer_left_behind_the_damaged_frame_is_kept_too(path, lines, mend):
    torn = b'{"v":1,"pos":5,"prev":"half a frame, and its line end is lost'
    path.write_bytes(b"".join(lines[:-1]) + _flip(lines[-1]) + torn)
    mend(path)
    kept = b"".join(each.read_bytes() for each in (*_aside(path), path))
    assert _flip(lines[-1]) in kept
    assert torn in kept, "bytes that nobody looked at were thrown away"


@pytest.mark.fault(30)
def test_repairing_the_frame_that_says_where_the_log_went_makes_no_second_live_copy(path, clock, tmp_path):
    create(FileStore(path), clock)
    there = moving.migrate(FileStore(path), FileStore(tmp_path / "there.jsonl"), clock).journal
    content = path.read_bytes()
    start = content[:-1].rindex(b"\n") + 1
    path.write_bytes(content[:start] + _flip(content[start:]))
    old = FileStore(path)
    with pytest.raises(StateError):
        repair(old, find_damage(old), clock)[0].append("", SAID)
    there.append("", SAID)
    old.close()
    there.store.close()


@pytest.mark.parametrize("number", [errno.EIO, pytest.param(errno.ENOSPC, marks=pytest.mark.fault(5))])
def test_a_repair_that_fails_at_any_system_call_loses_no_byte_of_the_frame(
    path, lines, mend, faulty, number, cases
):
    damaged = _flip(lines[-1])
    failed = 0
    for nth in range(1, 200):
        path.write_bytes(b"".join(lines[:-1]) + damaged)
        calls = type(faulty)()
        for name in ("open", "pwrite", "pread", "fsync", "ftruncate", "flock"):
            calls.fail[name] = lambda calls=calls, nth=nth: number if len(calls.log) == nth else None
        try:
            mend(path, calls=calls)
        except StateError:
            failed += 1
        kept = [each.read_bytes() for each in _aside(path)]
        content = path.read_bytes()
        assert content.startswith(b"".join(lines[:-1]))
        assert damaged in kept or content.endswith(damaged)
        for each in _aside(path):
            each.unlink()
        if len(calls.log) < nth:
            break
    assert failed > 15
    cases(failed)


@pytest.mark.parametrize("kind", ["memory", "fake_s3"])
def test_other_stores_take_nothing_back_and_say_what_to_do(kind, request, tmp_path, clock):
    place = new_place(kind, request, tmp_path)
    lines = _fill(place.open(), clock)
    if kind == "memory":
        place.open()._lines[-1] = _flip(lines[-1])
    else:
        objects = request.getfixturevalue("fake_s3").objects
        objects[max(objects)] = _flip(lines[-1])
    store = place.open()
    damage = find_damage(store)
    assert (damage.position, damage.last) == (4, True)
    with pytest.raises(StateError, match="takes nothing back") as refused:
        repair(store, damage, clock)
    assert "backup" in refused.value.hint
    assert list(place.open().read(0)) == [*lines[:-1], _flip(lines[-1])]
    place.close()


@pytest.mark.fault(19)
def test_a_hole_is_said_by_the_store_itself_and_is_nothing_to_repair(fake_s3, clock):
    _fill(open_store("s3://bucket/log", environment=fake_s3.env()), clock)
    del fake_s3.objects["log/frames/000000000003.json"]
    with pytest.raises(StateDamaged, match="frame 3 is missing"):
        find_damage(open_store("s3://bucket/log", environment=fake_s3.env()))


def test_only_the_last_frame_that_is_not_the_header_can_be_put_aside(clock):
    store = MemoryStore()
    _fill(store, clock, 2)
    store._lines[1] = seal(2, GENESIS, "n", "2026-11-22T12:00:00.000Z", "", SAID).line
    require_repairable(find_damage(store))
    store._lines.append(store._lines[1])
    with pytest.raises(StateDamaged):
        require_repairable(find_damage(store))

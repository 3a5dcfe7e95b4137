"""The conformance suite: what every store must do. A new store joins the `handles` fixture in conftest."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from reconciler.clock import ManualClock, SystemClock
from reconciler.errors import StateDamaged, StateError
from reconciler.state import events as ev
from reconciler.state.frames import GENESIS, parse, seal
from reconciler.state.journal import Journal, create
from reconciler.state.placing import HeadMoved
from reconciler.state.stores.interface import Conflict, Done
from support.places import SHARED, new_place


def _lines(count, mark="x"):
    """`count` chained lines from position 1."""
    lines, prev = [], GENESIS
    for position in range(1, count + 1):
        events = [ev.Header("l" * 32)] if position == 1 else [ev.Recovered("-", 0, "0" * 64)]
        frame = seal(position, prev, f"{mark}{position}", "2026-11-22T12:00:00.000Z", "", events)
        lines.append(frame.line)
        prev = frame.hash
    return lines


def test_a_log_that_is_not_there_reads_as_empty(handles):
    store = handles()
    assert not store.exists()
    assert list(store.read(0)) == []


def test_lines_are_read_back_in_order_by_every_handle(handles):
    writer, reader = handles(), handles()
    lines = _lines(20)
    for position, line in enumerate(lines, 1):
        assert writer.append(line, position) == Done()
        assert list(reader.read(position - 1)) == [line]
    assert writer.exists()
    assert list(handles().read(0)) == lines


@pytest.mark.parametrize("after", [0, 1, 7, 19, 20, 21, 500])
def test_reading_starts_after_the_position(handles, after):
    store = handles()
    lines = _lines(20)
    for position, line in enumerate(lines, 1):
        store.append(line, position)
    assert list(store.read(after)) == lines[after:]
    assert list(store.read(after)) == lines[after:]  # and does so again
    assert list(handles().read(after)) == lines[after:]


def test_a_taken_position_is_a_conflict_that_leaves_nothing_behind(handles):
    one, two = handles(), handles()
    first, second = _lines(2)
    (other,) = _lines(1, mark="y")
    assert one.append(first, 1) == Done()
    assert two.append(other, 1) == Conflict()
    assert one.append(first, 1) == Conflict()  # its own bytes too: who wrote them is found out above the store
    assert two.append(second, 2) == Done()
    assert one.append(second, 2) == Conflict()
    assert list(handles().read(0)) == [first, second]


def test_a_position_beyond_the_end_is_a_conflict(handles):
    store = handles()
    lines = _lines(3)
    assert store.append(lines[1], 2) != Done()
    assert store.append(lines[0], 1) == Done()
    assert store.append(lines[2], 3) == Conflict()
    assert list(store.read(0)) == lines[:1]


def test_lines_larger_than_a_block_come_back_whole(handles):
    store = handles()
    header = _lines(1)[0]
    store.append(header, 1)
    ids = [f"{n:064d}" for n in range(40_000)]
    big = seal(2, parse(header).hash, "n", "2026-11-22T12:00:00.000Z", "r", [ev.Reappeared(1, ids)]).line
    assert store.append(big, 2) == Done()
    assert list(handles().read(0)) == [header, big]


def test_eight_threads_have_one_winner_a_position(handles):
    stores = [handles() for _ in range(8)]
    create(stores[0], ManualClock())
    won: list[str] = []

    def work(store):
        journal = Journal(store, SystemClock())
        for _ in range(10):
            while True:
                journal.catch_up()
                try:
                    won.append(journal.append("", [ev.Recovered("-", 0, "0" * 64)]).nonce)
                except HeadMoved:
                    continue
                break

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = Journal(handles(), ManualClock())
    reader.load()
    assert reader.position == 81
    assert len(set(won)) == 80


APPENDER = """
import os
import sys
from reconciler.clock import SystemClock
from reconciler.state import events as ev
from reconciler.state.stores.urls import open_store
from reconciler.state.journal import Journal
from reconciler.state.placing import HeadMoved

journal = Journal(open_store(os.environ["PLACE"]), SystemClock())
done = 0
while done < 25:
    journal.catch_up()
    try:
        journal.append("", [ev.Recovered("-", 0, "0" * 64)])
    except HeadMoved:
        continue
    done += 1
"""


@pytest.mark.fault(10)
@pytest.mark.parametrize("kind", SHARED)
def test_four_processes_have_one_winner_a_position(kind, request, tmp_path, cases):
    there = new_place(kind, request, tmp_path)
    create(there.open(), SystemClock())
    environment = {**os.environ, **there.env, "PLACE": there.url, "PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [subprocess.Popen([sys.executable, "-c", APPENDER], env=environment) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    reader = Journal(there.open(), ManualClock())
    reader.load()
    assert reader.position == 101
    there.close()
    cases(100)


def test_bytes_come_back_as_they_were_whatever_the_ids(handles):
    odd = [
        "a\n",
        "\x00\x01",
        "é",
        "e\u0301",
        "😀" * 16,
        "no",
        "012",
        "\u202e",
        '"',
        "\\",
        "\u2028",
        "{}",
        "%s",
        "'; --",
    ]
    (header,) = _lines(1)
    line = seal(2, parse(header).hash, "n", "2026-11-22T12:00:00.000Z", "r", [ev.Reappeared(1, odd)]).line
    store = handles()
    assert store.append(header, 1) == Done()
    assert store.append(line, 2) == Done()
    assert list(handles().read(1)) == [line]
    assert parse(line).events[0].ids == odd


def test_a_reader_beside_a_writer_never_sees_a_gap(handles):
    writer, reader = handles(), handles()
    lines = _lines(60)
    writer.append(lines[0], 1)

    def write():
        for position, line in enumerate(lines[1:], 2):
            assert writer.append(line, position) == Done()

    thread = threading.Thread(target=write)
    thread.start()
    seen = 0
    while seen < len(lines):
        found = list(reader.read(0))
        assert found == lines[: len(found)]
        assert len(found) >= seen, "what was read before was gone"
        seen = len(found)
    thread.join()


def test_a_log_from_elsewhere_appears_whole(handles):
    lines = _lines(40)
    handles().receive(iter(lines), lines[-1], ManualClock())
    assert list(handles().read(0)) == lines
    prev = parse(lines[-1]).hash
    more = seal(41, prev, "n", "2026-11-22T12:00:00.000Z", "", [ev.Recovered("-", 0, "0" * 64)]).line
    assert handles().append(more, 41) == Done()


def test_a_log_from_elsewhere_never_replaces_another(handles):
    (mine,) = _lines(1)
    handles().append(mine, 1)
    others = _lines(5, mark="y")
    with pytest.raises(StateError):
        handles().receive(iter(others), others[-1], ManualClock())
    assert parse(next(handles().read(0))).hash == parse(mine).hash


class _Cut(Exception):
    pass


def _shown(store):
    """What a reader makes of it. An object store cannot hide a part, but shows that something is missing."""
    try:
        position = Journal(store, ManualClock()).load().position
    except StateDamaged as error:
        return "a hole" if "state migrate" in error.hint else error.message
    return "a shorter log" if position else "nothing"


@pytest.mark.fault(30)
def test_a_log_that_arrives_in_part_is_no_log_and_is_completed_by_the_same_call(handles, cases):
    lines = _lines(70)

    def until(count):
        yield from lines[:count]
        raise _Cut

    counts = (1, 2, 3, 31, 32, 33, 34, 50, 63, 64, 65, 66, 68, 69)  # around what an object store copies at once
    for count in counts:
        writer, reader = handles(), handles()
        with pytest.raises(_Cut):
            writer.receive(until(count), lines[-1], ManualClock())
        assert _shown(reader) in ("nothing", "a hole")
        writer.close()
        reader.close()
    handles().receive(iter(lines), lines[-1], ManualClock())
    assert list(handles().read(0)) == lines
    cases(len(counts))


def test_closing_twice_is_harmless(handles):
    store = handles()
    store.append(_lines(1)[0], 1)
    store.close()
    store.close()


@pytest.mark.parametrize(("theirs", "ours"), [(1, 5), (3, 5), (5, 5), (9, 5), (9, 1)])
def test_another_log_stays_exactly_as_it_was_whatever_is_brought_there(handles, theirs, ours):
    before, others = _lines(theirs), _lines(ours, mark="y")
    for position, line in enumerate(before, 1):
        handles().append(line, position)
    with pytest.raises(StateError):
        handles().receive(iter(others), others[-1], ManualClock())
    assert list(handles().read(0)) == before
    reader = Journal(handles(), ManualClock())
    reader.load()
    assert reader.append("", [ev.Recovered("-", 0, "0" * 64)]).position == theirs + 1


@pytest.mark.parametrize("count", [1, 2, 33, 250])
def test_a_log_of_any_length_arrives_with_every_byte(handles, count):
    lines, prev = _lines(1), parse(_lines(1)[0]).hash
    for position in range(2, count + 1):
        odd = [f"{position}\t\\N\\.\r\n\x00\x7f😀\u2028", "\\x00", "a,b;'\"", "\\copy"]
        frame = seal(position, prev, "n", "2026-11-22T12:00:00.000Z", "r", [ev.Reappeared(1, odd)])
        lines.append(frame.line)
        prev = frame.hash
    handles().receive(iter(lines), lines[-1], ManualClock())
    assert handles().exists()
    assert list(handles().read(0)) == lines
    assert list(handles().read(count)) == []


def test_frames_of_many_megabytes_come_back_whole_and_arrive_whole(place, request, tmp_path):
    (header,) = _lines(1)
    lines, prev = [header], parse(header).hash
    for position in (2, 3):
        ids = [f"{position}-{number:060d}" for number in range(60_000)]
        frame = seal(position, prev, "n", "2026-11-22T12:00:00.000Z", "r", [ev.Reappeared(1, ids)])
        lines.append(frame.line)
        prev = frame.hash
    assert len(lines[1]) > 3_500_000
    store, other = place.open(), new_place(place.kind, request, tmp_path)
    for position, line in enumerate(lines, 1):
        assert store.append(line, position) == Done()
    assert list(place.open().read(0)) == lines
    other.open().receive(iter(lines), lines[-1], ManualClock())
    assert list(other.open().read(0)) == lines
    other.close()


def test_a_place_answers_to_its_own_address_from_every_handle_and_another_does_not(place, request, tmp_path):
    other = new_place(place.kind, request, tmp_path)
    one, two, three = place.open(), place.open(), other.open()
    assert one.address() == two.address() == one.address(three)
    assert one.answers_to(two.address())
    assert not three.answers_to(one.address())
    assert not one.answers_to(three.address())
    assert not one.answers_to("")
    for secret in (
        "hunter2",
        *(value for name, value in place.env.items() if "SECRET" in name and len(value) > 3),
    ):
        assert secret not in f"{one.url} {one.address()} {one!r}"
    other.close()


def test_a_probe_leaves_nothing_that_counts_as_a_log_and_takes_nothing_from_one(handles):
    handles().probe()
    handles().make_room()
    assert not handles().exists()
    assert list(handles().read(0)) == []
    create(handles(), ManualClock())
    before = list(handles().read(0))
    handles().probe()
    handles().make_room()
    assert list(handles().read(0)) == before

"""PostgreSQL killed with -9 in the middle of commits, connections cut at every byte: nothing lost, nothing doubled."""

from __future__ import annotations

import threading

import pytest

from reconciler.clock import ManualClock, SystemClock
from reconciler.errors import StoreUnavailable
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.journal import Journal, create
from reconciler.state.placing import HeadMoved
from reconciler.state.stores.urls import open_store
from support.postgres import Postgres
from support.tcp_proxy import ByteCutter

KILLS, WRITERS = 5, 4


@pytest.fixture
def server():
    own = Postgres()
    yield own
    own.stop()


@pytest.mark.fault(20)
@pytest.mark.timeout(300)
def test_no_acknowledged_frame_is_lost_and_none_is_doubled(server, cases):
    url = server.url(server.create_database())
    store = open_store(url)
    create(store, SystemClock())
    store.close()
    acknowledged: list[str] = []
    sent: list[str] = []
    stop = threading.Event()

    def write(name: int) -> None:
        store = open_store(url)
        journal = Journal(store, SystemClock())
        number = 0
        while not stop.is_set():
            said = f"{name}-{number}"
            try:
                journal.catch_up()
                sent.append(said)
                journal.append("", [ev.Recovered(said, 0, "0" * 64)])
            except HeadMoved:
                continue
            except StoreUnavailable:
                number += 1  # unknown: perhaps it is there, and it is not said again
                continue
            acknowledged.append(journal.head)
            number += 1
        store.close()

    threads = [threading.Thread(target=write, args=(name,)) for name in range(WRITERS)]
    for thread in threads:
        thread.start()
    for kill in range(1, KILLS + 1):
        before = len(acknowledged)
        while len(acknowledged) < before + 25 * kill:
            stop.wait(0.005)
        server.kill()
        server.start()
    before = len(acknowledged)
    while len(acknowledged) < before + 10:
        stop.wait(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    reader = open_store(url)
    frames = list(walk(reader.read(0)))
    reader.close()
    assert {f"{frame.position}:{frame.hash}" for frame in frames} >= set(acknowledged)
    said = [event.path for frame in frames[1:] for event in frame.events]
    assert len(said) == len(set(said)), "a frame stands twice"
    assert set(said) <= set(sent)
    assert len(acknowledged) == len(set(acknowledged)) <= len(said)
    cases(KILLS)


@pytest.mark.fault(20)
@pytest.mark.parametrize("direction", ["there", "back"])
def test_a_connection_cut_at_any_byte_neither_loses_nor_doubles_a_frame(postgres, direction, cases):
    database = postgres.create_database()
    direct = open_store(postgres.url(database))
    clock, cut, whole = ManualClock(), 0, False
    journal = create(direct, clock)
    while not whole:
        with ByteCutter(postgres.port, cut * 23, direction) as cutter:
            journal.store = open_store(postgres.url(database, port=cutter.port))
            position = journal.position
            journal.append("", [ev.Recovered("-", 0, "0" * 64)])
            journal.store.close()
            whole = not cutter.hits
        assert journal.position == position + 1
        cut += 1
    journal.store, head = direct, journal.head
    journal.load()
    direct.close()
    assert (journal.position, journal.head) == (cut + 1, head)
    assert cut > 20
    cases(cut)

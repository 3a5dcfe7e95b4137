"""Taking the state from a run: by the lock of the machine, or by a person."""

from __future__ import annotations

import stat

import pytest

from reconciler.errors import (
    RunFenced,
    StateError,
    StateHeld,
)
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.journal import Journal, create
from reconciler.state.run import unlock
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.memory import MemoryStore


@pytest.fixture
def two(clock):
    """Two journals on one log in a store without a machine's lock."""
    store = MemoryStore()
    create(store, clock)
    return Journal(store, clock), Journal(store, clock)


def _kinds(journal):
    return [event.kind for frame in _frames(journal) for event in frame.events]


def _frames(journal):
    return list(walk(journal.store.read(0)))


def test_another_machines_run_is_waited_for_although_the_lock_here_is_free(journal, path, clock, begin):
    begin(journal, host="elsewhere", boot_id="b1")._guard.release()
    with pytest.raises(StateHeld):
        begin(Journal(FileStore(path), clock), host="here", boot_id="b1")
    with pytest.raises(StateHeld):
        begin(Journal(FileStore(path), clock), host="elsewhere", boot_id="b2")
    begin(Journal(FileStore(path), clock), host="elsewhere", boot_id="b1")


def test_a_living_run_of_this_machine_is_not_taken_over(journal, path, clock, begin):
    begin(journal, boot_id="b1")
    with pytest.raises(StateHeld):
        begin(Journal(FileStore(path), clock), boot_id="b1")


def test_a_lock_file_removed_while_it_is_held_proves_nothing(journal, path, clock, begin):
    run = begin(journal, boot_id="b1")
    path.with_name("state.jsonl.lock").unlink()
    with pytest.raises(StateHeld):
        begin(Journal(FileStore(path), clock), boot_id="b1")
    run.append([ev.LeaseRenewed()])


def test_a_lock_that_cannot_be_had_proves_nothing(journal, path, clock, begin):
    path.with_name("state.jsonl.lock").mkdir()
    run = begin(journal, boot_id="b1")
    assert journal.fold.open_guard == ""
    with pytest.raises(StateHeld):
        begin(Journal(FileStore(path), clock), boot_id="b1")
    run.finish("done")


def test_the_lock_file_is_private_and_stays(journal, path, begin):
    begin(journal).finish("done")
    lock = path.with_name("state.jsonl.lock")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    assert lock.exists()


def test_unlock_takes_the_state_from_exactly_the_run_that_is_named(two, clock, begin):
    journal, other = two
    run = begin(journal, actor="alice")
    with pytest.raises(StateHeld, match="alice"):
        unlock(other, clock, "another", reason="x", by="bob")
    unlock(other, clock, run.run, reason="the runner\nburned", by="bob")
    fence = _frames(other)[-1].events[0]
    assert (fence.fenced, fence.by, fence.reason) == (run.run, "bob", "the runnerburned")
    with pytest.raises(RunFenced, match="unlock"):
        run.append([ev.LeaseRenewed()])
    begin(other)


def test_unlock_of_a_free_state_changes_nothing(two, clock):
    with pytest.raises(StateError, match="no run holds"):
        unlock(two[0], clock, "x", reason="x", by="bob")
    assert _kinds(two[0]) == ["header"]


def test_unlock_races_with_a_run_that_is_at_work(two, clock, begin):
    journal, other = two
    run = begin(journal)
    append = other.append
    first = [True]

    def slower(name, events):
        if first.pop() if first else False:
            run.append([ev.LeaseRenewed()])
        return append(name, events)

    other.append = slower
    unlock(other, clock, run.run, reason="x", by="bob")
    assert _kinds(journal)[-2:] == ["lease_renewed", "run_fenced"]

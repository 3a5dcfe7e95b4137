"""The lock in the log: who holds it, who may take it, and what the one who lost it may still do."""

from __future__ import annotations

import errno
import inspect
import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import (
    ExitCode,
    RunFenced,
    StateError,
    StateHeld,
    StateMismatch,
    StateMissing,
    StoreUnavailable,
    UnsavedOutcomes,
)
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.holder import GRACE, RENEW_AFTER
from reconciler.state.journal import Journal, create
from reconciler.state.run import FRESH, LEASE, Run
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.memory import MemoryStore
from reconciler.vectorize import Client

SILENCE = LEASE + GRACE


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


def test_a_run_begins_and_ends_in_the_log(two, begin):
    journal, other = two
    run = begin(journal, job="https://ci/1", actor="me", tool_version="0.1")
    record = other.load().open_run
    assert (record.run, record.job, record.actor, record.lease_seconds) == (run.run, "https://ci/1", "me", 300.0)
    assert record.start_head == _frames(journal)[0].hash
    run.finish("done", {"verified": 2}, requests=1)
    run.finish("failed")  # every exit path may call it again
    assert other.load().open_run is None
    assert _kinds(journal) == ["header", "run_started", "run_finished"]
    assert run.over


def test_a_second_run_is_held_and_told_by_whom_and_how_to_take_over(two, begin):
    journal, other = two
    run = begin(journal, actor="alice", host="runner-7", job="https://ci/jobs/9", pid=42)
    with pytest.raises(StateHeld) as caught:
        begin(other)
    error = caught.value
    assert error.exit_code == ExitCode.HELD
    for part in (run.run, "apply", "alice", "runner-7", "https://ci/jobs/9", "2026-11-22T12:00:00.000Z", "540 s"):
        assert part in error.message
    assert f'reconciler state unlock {run.run} --state memory: --reason "…"' in error.hint
    assert _kinds(journal) == ["header", "run_started"]


def test_the_unlock_command_names_no_state_when_it_is_the_default_one(clock, begin):
    store = MemoryStore()
    store.url = "file:reconciler.state.jsonl"
    create(store, clock)
    begin(Journal(store, clock))
    with pytest.raises(StateHeld) as caught:
        begin(Journal(store, clock))
    assert "--state" not in caught.value.hint


def test_what_a_log_says_of_its_holder_cannot_move_the_terminal(two, begin):
    journal, other = two
    begin(journal, actor="\x1b[2Jeve\r\n", host="\u202eevil")
    with pytest.raises(StateHeld) as caught:
        begin(other)
    assert caught.value.message.isprintable()


def test_waiting_ends_when_the_other_run_does(two, clock, begin):
    journal, other = two
    run = begin(journal)
    waits = []

    def on_wait(holder, left):
        waits.append((holder, left))
        if len(waits) == 3:
            run.finish("done")

    begin(other, lock_timeout=100.0, on_wait=on_wait)
    assert clock.slept == [1.0, 2.0, 4.0]
    assert run.run in waits[0][0]
    assert [left for _, left in waits] == [100.0, 99.0, 97.0]


def test_waiting_is_bounded_and_slows_down(two, clock, begin):
    journal, other = two
    begin(journal)
    with pytest.raises(StateHeld):
        begin(other, lock_timeout=60.0)
    assert sum(clock.slept) == 60.0
    assert max(clock.slept) == 16.0


@pytest.mark.fault(11)
def test_a_run_that_fell_silent_is_taken_over_after_lease_freshness_and_time_out(two, clock, begin):
    journal, other = two
    dead = begin(journal)
    clock.advance(SILENCE - 1)
    with pytest.raises(StateHeld):
        begin(other)
    clock.advance(1)
    run = begin(other, lock_timeout=RENEW_AFTER + 30)
    assert run.took_over == dead.run
    last = _frames(journal)[-1]
    assert [event.kind for event in last.events] == ["run_fenced", "run_started"]
    assert [r.outcome for r in other.projection().runs] == ["fenced", None]


def test_the_grace_covers_a_request_that_uses_up_every_time_out_of_the_client():
    timeouts = inspect.signature(Client).parameters
    connect, answer = timeouts["connect_timeout"].default, timeouts["read_timeout"].default
    pool_connect_tls, write_head_body = 3 * connect, 3 * answer
    assert FRESH + pool_connect_tls + write_head_body <= GRACE


@pytest.mark.fault(12)
def test_a_wall_clock_that_is_minutes_fast_does_not_end_a_living_run(two, begin):
    journal, other = two
    holders, waiters = ManualClock(), ManualClock()
    journal._clock = holders
    run = begin(journal, clock=holders)
    waiters.set_wall(waiters.now() + timedelta(seconds=SILENCE + 400))

    def on_wait(_holder, _left):
        holders.set_wall(run_began + timedelta(seconds=waiters.elapsed() - began))
        holders._elapsed = waiters.elapsed()
        if run.renew_due():
            run.renew()

    run_began, began = holders.now(), waiters.elapsed()
    with pytest.raises(StateHeld):
        begin(other, clock=waiters, lock_timeout=2 * SILENCE, on_wait=on_wait)
    run.append([ev.LeaseRenewed()])


def test_a_run_that_died_long_ago_costs_no_wait(two, clock, begin):
    journal, other = two
    begin(journal)
    clock.advance(SILENCE + 3600)
    begin(other)
    assert clock.slept == []


def test_every_frame_renews_the_lease(two, clock, begin):
    journal, other = two
    run = begin(journal)
    for _ in range(10):
        clock.advance(99)
        assert not run.renew_due()
        clock.advance(1)
        assert run.renew_due()
        run.renew(requests=1)
        with pytest.raises(StateHeld):
            begin(other)


@pytest.mark.fault(12)
@pytest.mark.parametrize("hours", [-2, 2])
def test_a_jump_of_the_wall_clock_changes_waiting_and_never_who_may_write(two, hours, begin):
    journal, other = two
    holders, waiters = ManualClock(), ManualClock()
    journal._clock = holders
    for _ in range(50):  # two manual clocks would give the same names
        waiters.token()
    run = begin(journal, clock=holders)
    waiters.set_wall(waiters.now() + timedelta(hours=hours))
    successor = None
    try:
        successor = begin(other, clock=waiters, lock_timeout=SILENCE + 20)
    except StateHeld:
        pytest.fail("own observation ends the wait even when the wall clock was set back")
    assert sum(waiters.slept) >= (SILENCE if hours < 0 else 0)
    with pytest.raises(RunFenced):
        run.append([ev.LeaseRenewed()])
    assert not run.fresh()
    successor.append([ev.LeaseRenewed()])
    assert _frames(journal)[-1].run == successor.run


@pytest.mark.fault(12)
def test_a_jump_of_the_holders_wall_clock_does_not_make_its_intents_older_or_younger(two, clock, begin):
    run = begin(two[0])
    clock.set_wall(clock.now() + timedelta(hours=1))
    assert run.fresh()
    clock.set_wall(clock.now() - timedelta(hours=5))
    assert run.fresh()
    clock.advance(29.9)
    assert run.fresh()
    clock.advance(0.2)
    assert not run.fresh()
    run.renew()
    assert run.fresh()


def test_an_append_that_took_long_is_as_old_as_its_beginning(two, clock, begin):
    journal, _ = two
    run = begin(journal)
    append = journal.store.append

    def slow(line, position):
        clock.advance(31)
        return append(line, position)

    journal.store.append = slow
    run.renew()
    assert not run.fresh()


@pytest.mark.fault(11)
def test_a_fenced_run_writes_nothing_more_and_keeps_its_outcomes(
    journal, path, clock, begin, target_and_declaration, monkeypatch
):
    run = begin(journal)
    run.append([*target_and_declaration, ev.Intent(1, 1, [[[1], 1]], ["a"])])
    clock.advance(SILENCE + 3600)
    successor = begin(Journal(FileStore(path), clock))
    before = path.read_bytes()
    with pytest.raises(RunFenced) as caught:
        run.append([ev.Accepted(1, "m-1"), ev.Intent(2, 1, [[[1], 1]], ["b"])])
    assert caught.value.exit_code == ExitCode.HELD
    assert successor.run in caught.value.message
    unsaved = path.with_name(f"reconciler-unsaved-{journal.fold.lineage}.jsonl")
    assert str(unsaved) in caught.value.hint
    (row,) = map(json.loads, unsaved.read_text("utf-8").splitlines())
    assert row["event"] == {"kind": "accepted", "batch": 1, "mutation_id": "m-1"}
    assert (row["run"], row["lineage"]) == (run.run, journal.fold.lineage)
    assert stat.S_IMODE(unsaved.stat().st_mode) == 0o600
    with pytest.raises(RunFenced):  # what arrives later is kept as well
        run.append([ev.Failed(1, 2, "unknown", final=True)])
    assert len(unsaved.read_text("utf-8").splitlines()) == 2
    with pytest.raises(RunFenced):
        run.append([ev.LeaseRenewed()])
    run.finish("failed")
    assert path.read_bytes() == before
    assert run.over


def test_a_store_that_fails_in_the_middle_keeps_the_outcomes(
    path, faulty, always, clock, begin, target_and_declaration
):
    journal = create(FileStore(path, calls=faulty), clock)
    run = begin(journal)
    run.append([*target_and_declaration, ev.Intent(1, 1, [[[1], 1]], ["a"])])
    before = path.read_bytes()
    faulty.fail["pwrite"] = always(errno.ENOSPC)
    with pytest.raises(UnsavedOutcomes) as caught:
        run.append([ev.Accepted(1, "m-1")])
    assert "m-1" in Path(caught.value.path).read_text("utf-8")
    assert "reconciler-unsaved-" in caught.value.hint
    faulty.fail.clear()
    with pytest.raises(StoreUnavailable):
        run.append([ev.Intent(2, 1, [[[1], 1]], ["b"])])
    run.finish("failed")
    assert path.read_bytes() == before, "after a failed append nothing more is appended"


def test_outcomes_that_no_file_takes_are_in_the_message(
    path, faulty, always, clock, begin, target_and_declaration, monkeypatch
):
    journal = create(FileStore(path, calls=faulty), clock)
    run = begin(journal)
    run.append([*target_and_declaration, ev.Intent(1, 1, [[[1], 1]], ["a"])])
    faulty.fail["pwrite"] = always(errno.ENOSPC)
    monkeypatch.setattr("reconciler.state.unsaved._append", _raise)
    with pytest.raises(UnsavedOutcomes, match="not recorded") as caught:
        run.append([ev.Accepted(1, "mutation-77")])
    assert caught.value.path == ""
    assert "mutation-77" in caught.value.hint


def _raise(*_):
    raise OSError(errno.ENOSPC, "full")


def test_events_that_cannot_follow_end_the_run_and_keep_the_outcomes(journal, path, begin, target_and_declaration):
    run = begin(journal)
    run.append([*target_and_declaration, ev.Intent(1, 1, [[[1], 1]], ["a"])])
    with pytest.raises(UnsavedOutcomes, match="cannot be recorded"):
        run.append([ev.Accepted(7, "m-7")])
    assert list(path.parent.glob("reconciler-unsaved-*"))


def test_a_finished_run_appends_nothing(two, begin):
    run = begin(two[0])
    run.finish("done")
    with pytest.raises(StateError, match="finished"):
        run.renew()
    assert not run.fresh()
    assert not run.renew_due()


def test_a_preparation_that_fails_writes_nothing_and_frees_the_lock(journal, path, clock, begin):
    class NoError(Exception):
        pass

    def refuse(_):
        raise NoError

    other = Journal(FileStore(path), clock)
    with pytest.raises(NoError):
        Run.start(other, clock, command="apply", origin="loopback", fingerprint="", prepare=refuse)
    assert _kinds(journal) == ["header"]
    begin(journal)
    assert journal.fold.open_guard


def test_a_run_starts_at_exactly_the_position_its_plan_was_checked_for(two, clock):
    journal, other = two
    other.load()
    seen = []

    def prepare(projection):
        seen.append(projection.position)
        if len(seen) == 1:
            other.append("", [ev.Moved("memory:")])
        return f"plan at {projection.position}"

    run, prepared = Run.start(
        journal,
        clock,
        command="apply",
        origin="loopback",
        fingerprint=lambda projection: f"sha256:{projection.position}",
        prepare=prepare,
    )
    assert seen == [1, 2]
    assert prepared == "plan at 2"
    record = run.snapshot().open_run
    assert (record.started, record.fingerprint) == (3, "sha256:2")


def test_somebody_who_starts_first_is_met_as_the_holder(two, clock, begin):
    journal, other = two

    def prepare(_):
        begin(other)

    with pytest.raises(StateHeld):
        Run.start(journal, clock, command="apply", origin="loopback", fingerprint="", prepare=prepare)


def test_a_rehearsal_never_counts_as_production(two, begin):
    journal, other = two
    begin(journal).finish("done")
    with pytest.raises(StateMismatch, match="loopback"):
        begin(other, origin="https://api.cloudflare.com")
    assert _kinds(journal) == ["header", "run_started", "run_finished"]


def test_no_state_is_said_to_be_missing(clock, begin):
    with pytest.raises(StateMissing):
        begin(Journal(MemoryStore(), clock))


def test_a_torn_tail_is_announced_by_the_next_run(journal, path, clock, begin):
    with path.open("ab") as file:
        file.write(b'{"v":1,"pos":2')
    begin(Journal(FileStore(path), clock))
    assert _kinds(journal) == ["header", "recovered", "run_started"]


def test_a_foreign_frame_within_a_run_does_not_cost_it_the_state(two, begin):
    journal, other = two
    run = begin(journal)
    other.load()
    other.append("", [ev.Moved("memory:")])
    run.append([ev.LeaseRenewed()])
    assert _kinds(other)[-1] == "lease_renewed"

"""What the state, other runs and crashes can do wrong: nothing is sent that is not remembered."""

from __future__ import annotations

import errno
import json
import os
import stat

import pytest

from reconciler.errors import (
    ExitCode,
    Interrupted,
    RunFenced,
    StateDamaged,
    StateError,
    StateHeld,
    StateMissing,
    StateTooNew,
    UnsavedOutcomes,
    UsageError,
)
from reconciler.model.notices import Problem
from reconciler.operations.applying import ApplyOptions, apply
from reconciler.operations.states import unlock
from reconciler.operations.verifying import verify
from reconciler.state import events as ev
from reconciler.state.journal import Journal
from reconciler.state.run import Run
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.interface import Conflict, Unknown
from reconciler.state.stores.oscalls import RealCalls


def a_run(world, **options):
    """Another run, left open."""
    journal = Journal(FileStore(world.state_path), world.clock)
    who = {"actor": "eve", "host": "elsewhere", "boot_id": "b", "pid": 7, **options}
    settings = {"command": "apply", "origin": "loopback", "fingerprint": "", "prepare": lambda _: None}
    run, _ = Run.start(journal, world.clock, **settings, **who)
    return run


def delete_requests(world):
    return [entry for entry in world.requests() if entry.operation == "delete_by_ids"]


@pytest.mark.fault(29)
def test_an_event_of_a_newer_version_lets_plan_read_and_apply_refuse_before_sending(world, ids):
    world.declare(ids(5))
    world.apply()
    Journal(FileStore(world.state_path), world.clock).load()
    journal = Journal(FileStore(world.state_path), world.clock)
    journal.load()
    journal.append("", [ev.Unknown({"kind": "from_the_future", "more": 1})])
    world.declare(ids(10))
    before = world.state_path.read_bytes()
    assert world.plan().plan.summary.delete == 5
    sent = len(world.requests())
    with pytest.raises(StateTooNew):
        world.apply()
    assert len(world.requests()) == sent
    assert world.state_path.read_bytes() == before


@pytest.mark.fault(7)
@pytest.mark.parametrize("content", [b"hello\n", b"{}\n", b"\x00\xff\n"])
def test_a_file_that_is_no_state_is_refused_and_left_alone(world, ids, content):
    world.declare(ids(5))
    world.state_path.write_bytes(content)
    with pytest.raises(StateDamaged):
        world.apply()
    assert world.requests() == []
    assert world.state_path.read_bytes() == content


@pytest.mark.fault(7)
def test_a_directory_in_the_place_of_the_state_is_refused(world, ids):
    world.declare(ids(5))
    world.state_path.mkdir()
    with pytest.raises(StateError):
        world.apply()
    assert world.requests() == []


@pytest.mark.fault(7)
def test_a_state_that_cannot_be_written_sends_nothing(world, ids, monkeypatch):
    world.declare(ids(5))
    world.apply()
    world.declare(ids(10))
    sent = len(world.requests())
    real = RealCalls.open

    def refuse(self, path, flags, mode=0o600):
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(self, path, flags, mode)

    monkeypatch.setattr(RealCalls, "open", refuse)
    assert world.plan().plan.summary.delete == 5
    with pytest.raises(StateError):
        world.apply()
    assert len(world.requests()) == sent


@pytest.mark.fault(5)
def test_a_full_disk_sends_nothing(world, ids, monkeypatch):
    world.declare(ids(5))

    def full(self, handle, content, offset):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RealCalls, "pwrite", full)
    with pytest.raises(StateError) as refused:
        world.apply()
    assert "space" in refused.value.message.lower() + refused.value.hint
    assert world.requests() == []


class _Failing:
    """Fails every append from the first that holds an event of `kind`, the `nth` of them, on."""

    def __init__(self, monkeypatch, kind, nth=1):
        self.left, self.broken = nth, False
        real = FileStore.append

        def append(store, line, position):
            if any(event["kind"] == kind for event in json.loads(line)["events"]):
                self.left -= 1
                self.broken = self.broken or self.left <= 0
            if self.broken:
                return Unknown(StateError("the disk is gone"), retry=False)
            return real(store, line, position)

        monkeypatch.setattr(FileStore, "append", append)


def test_a_store_that_fails_in_the_middle_stops_the_sending_and_keeps_what_was_accepted(world, monkeypatch):
    many = [f"x-{n:04}" for n in range(3000)]
    world.seed(many)
    world.declare(many)
    world.configure(api={"concurrency": 2})
    with monkeypatch.context() as patch:
        _Failing(patch, "accepted", nth=3)
        with pytest.raises(UnsavedOutcomes) as failed:
            world.apply()
    assert failed.value.exit_code is ExitCode.ERROR
    kept = world.root / f"reconciler-unsaved-{world.state.lineage}.jsonl"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    saved = [json.loads(line)["event"] for line in kept.read_text().splitlines()]
    recorded = {event.mutation_id for event in world.events(ev.Accepted)}
    recorded |= {event["mutation_id"] for event in saved if event["kind"] == "accepted"}
    assert recorded == {entry.mutation_id for entry in world.deletes()}
    assert len(world.deletes()) < 30
    assert world.apply().exit_code is ExitCode.DONE  # the dead run is taken over: its lock on this machine is free
    assert world.actions() == {}


def test_a_store_that_fails_before_the_first_intent_is_durable_sends_nothing(world, ids, monkeypatch):
    world.declare(ids(5))
    with monkeypatch.context() as patch:
        _Failing(patch, "intent")
        with pytest.raises(StateError):
            world.apply()
    assert world.deletes() == []
    assert world.apply().exit_code is ExitCode.DONE


@pytest.mark.fault(11)
def test_a_fenced_run_sends_nothing_after_its_failed_append_and_keeps_its_outcomes(world, monkeypatch):
    many = [f"x-{n:04}" for n in range(2000)]
    world.declare(many)
    world.configure(api={"concurrency": 2})
    at_takeover = []

    def take_over(_):
        if len(world.deletes()) == 4 and not at_takeover:
            run = world.state.open_run.run
            unlock(world.context(), run, "I know that it is dead")
            at_takeover.append(len(world.deletes()))

    real, at_conflict = FileStore.append, []

    def append(store, line, position):
        outcome = real(store, line, position)
        if isinstance(outcome, Conflict):
            at_conflict.append(len(world.deletes()))
        return outcome

    world.on_delete(take_over)
    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "append", append)
        with pytest.raises(RunFenced) as fenced:
            world.apply()
    assert fenced.value.exit_code is ExitCode.HELD
    assert at_conflict == [len(world.deletes())]
    assert len(world.deletes()) <= at_takeover[0] + 4  # intents run at most twice the concurrency ahead
    assert not any(isinstance(e, ev.RunFinished) for e in world.events())
    kept = world.root / f"reconciler-unsaved-{world.state.lineage}.jsonl"
    saved = [json.loads(line)["event"]["mutation_id"] for line in kept.read_text().splitlines()]
    recorded = {event.mutation_id for event in world.events(ev.Accepted)}
    assert recorded | set(saved) == {entry.mutation_id for entry in world.deletes()}
    assert world.apply().exit_code is ExitCode.DONE


def test_a_second_run_is_told_who_holds_the_state_and_sends_nothing(world, ids):
    world.declare(ids(5))
    world.apply()
    a_run(world)
    world.declare(ids(10))
    sent = len(world.requests())
    with pytest.raises(StateHeld) as held:
        world.apply()
    assert held.value.exit_code is ExitCode.HELD
    assert "eve" in held.value.message
    assert "elsewhere" in held.value.message
    assert "state unlock" in held.value.hint
    assert len(world.requests()) == sent


def test_waiting_for_the_state_ends_when_the_other_run_is_over_its_lease(world, ids):
    world.declare(ids(5))
    world.apply()
    other = a_run(world)
    world.declare(ids(10))
    result = world.apply(lock_timeout=1000)
    assert result.exit_code is ExitCode.DONE
    assert world.events(ev.RunFenced)[-1].fenced == other.run
    assert any(notice.type == "waiting" for notice in world.notices)


@pytest.mark.parametrize("command", ["apply", "verify"])
def test_an_interrupt_ends_the_waiting_for_the_state(busy, ids, command):
    busy.declare(ids(5))
    busy.apply(wait=False)
    a_run(busy)
    busy.declare(ids(10))

    class Impatient(list):
        def append(self, notice):
            busy.interrupts.request()

    context = busy.context()
    busy.notices = Impatient()
    options = {"notify": busy.notices.append, "interrupts": busy.interrupts}
    began = busy.clock.elapsed()
    run = {
        "apply": lambda: apply(context, options=ApplyOptions(lock_timeout=1000), **options),
        "verify": lambda: verify(context, lock_timeout=1000, **options),
    }
    with pytest.raises(Interrupted) as stopped:
        run[command]()
    assert stopped.value.exit_code is ExitCode.INTERRUPTED
    assert busy.clock.elapsed() - began < 60


@pytest.mark.parametrize("after", [0, 1, 5, 19, 20])
def test_an_interrupt_finishes_and_records_what_is_in_flight_and_the_next_apply_converges(world, after):
    many = [f"x-{n:04}" for n in range(2000)]
    world.seed(many)
    world.declare(many)
    world.configure(api={"concurrency": 3})
    seen = []

    def interrupt(ids):
        seen.append(ids)
        if len(seen) == after + 1:
            world.interrupts.request()

    world.on_delete(interrupt)
    result = world.apply()
    if after < 20:
        assert result.exit_code is ExitCode.INTERRUPTED
        assert world.events(ev.RunFinished)[-1].outcome == "interrupted"
    sent = len(world.deletes())
    assert after < sent <= after + 3 or sent == 20
    assert len(world.events(ev.Accepted)) == sent
    assert world.state.open_run is None
    world.bridge.before.clear()
    assert world.apply().exit_code is ExitCode.DONE
    assert world.actions() == {}
    assert len(world.deletes()) == 20 or after < 20
    assert sorted(each for entry in world.deletes() for each in entry.ids) == many


def test_an_interrupt_during_the_proof_records_nothing_false_and_verify_ends_it(busy, ids):
    busy.declare(ids(50))

    def interrupt(request):
        if request.url.path.endswith("/info"):
            busy.interrupts.request()

    busy.bridge.before.append(interrupt)
    result = busy.apply()
    assert (result.exit_code, result.accepted, result.pending) == (ExitCode.INTERRUPTED, 50, 50)
    busy.bridge.before.clear()
    assert busy.verify().exit_code is ExitCode.DONE


def test_an_interrupt_before_the_first_request_sends_nothing(world, ids):
    world.declare(ids(5))

    def approve(_):
        world.interrupts.request()
        return True

    with pytest.raises(Interrupted):
        world.apply(approve=approve)
    assert world.requests() == []
    assert world.events(ev.RunFinished)[-1].outcome == "interrupted"


def test_a_sink_that_fails_does_not_lose_what_was_accepted(world):
    many = [f"x-{n:04}" for n in range(1000)]
    world.declare(many)

    class Broken(list):
        def append(self, notice):
            if notice.type == "batch_submitted":
                raise BrokenPipeError

    context = world.context()
    with pytest.raises(BrokenPipeError):
        apply(context, notify=Broken().append)
    assert {e.mutation_id for e in world.events(ev.Accepted)} == {e.mutation_id for e in world.deletes()}
    assert world.state.open_run is None
    assert world.apply().exit_code is ExitCode.DONE


def test_a_required_state_that_is_missing_is_an_error_and_none_is_made(world, ids):
    world.declare(ids(5))
    with pytest.raises(StateMissing):
        world.apply(require_state=True)
    assert not world.state_path.exists()
    assert world.requests() == []


def test_verify_without_a_state_is_an_error(world):
    with pytest.raises(StateMissing):
        world.verify()


def test_a_refusal_at_the_prompt_writes_nothing(world, ids):
    world.declare(ids(5))
    with pytest.raises(UsageError):
        world.apply(approve=lambda _: False)
    assert world.requests() == []
    assert not world.state_path.exists()


def test_a_state_that_others_can_read_is_told_by_plan(world, ids):
    world.declare(ids(5))
    world.apply()
    assert "state-store" not in [each.code for each in world.plan().plan.diagnostics]
    world.state_path.chmod(0o644)
    (told,) = [each for each in world.plan().plan.diagnostics if each.code == "state-store"]
    assert "0600" in told.summary


def test_a_state_that_others_can_write_is_not_passed_over_in_silence(world, ids):
    world.declare(ids(2))
    world.apply()
    world.state_path.chmod(0o666)
    assert "state-store" in [found.code for found in world.plan().plan.diagnostics]
    world.verify(audit=True)
    assert "state-store" in [n.diagnostic.code for n in world.notices if isinstance(n, Problem)]
    world.declare(ids(3))
    world.apply()
    assert "state-store" in [n.diagnostic.code for n in world.notices if isinstance(n, Problem)]

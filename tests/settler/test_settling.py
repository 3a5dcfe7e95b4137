"""Accepted is not gone, and gone is not for ever."""

from __future__ import annotations

import itertools
from datetime import timedelta

import httpx
import pytest

from reconciler.errors import ExitCode, IndexNotFound, RunFenced
from reconciler.model.tombstones import Status
from reconciler.observer import IndexRecreated
from reconciler.operations.states import unlock
from reconciler.settler import Settler
from reconciler.state import events as ev


def started(world):
    return world.clock.elapsed()


def test_the_first_look_at_the_pointer_comes_within_half_a_second_of_the_last_acceptance(busy, ids):
    busy.declare(ids(5))
    busy.apply()
    accepted = busy.deletes()[-1].at
    polls = [entry.at for entry in busy.requests("info")]
    assert 0 < polls[0] - accepted <= 0.5
    gaps = [round(later - earlier, 6) for earlier, later in itertools.pairwise(polls)]
    assert all(later <= max(10.0, earlier * 1.5 + 1e-6) for earlier, later in itertools.pairwise(gaps))
    assert max(gaps) <= 10.0


def test_nothing_is_verified_before_its_mutation_was_processed(busy, ids):
    busy.declare(ids(250))
    busy.emulator.remove(busy.account, "docs", ids(250))  # absent already, and still no proof
    busy.apply()
    kinds = [type(e) for e in busy.events() if isinstance(e, ev.Accepted | ev.Processed | ev.Verified)]
    assert kinds == [ev.Accepted] * 3 + [ev.Processed, ev.Verified]
    processed = [entry.at for entry in busy.requests("info")][-1]
    assert all(entry.at >= processed for entry in busy.requests("get_by_ids"))


@pytest.mark.fault(23)
def test_a_pointer_that_another_writer_moved_past_ours_does_not_hang(busy, ids):
    busy.declare(ids(5))
    busy.on_delete(lambda _: busy.clock.advance(0))
    busy.apply(wait=False)
    busy.clock.advance(31)
    busy.emulator.foreign_mutation(busy.account, "docs")
    began = busy.clock.elapsed()
    result = busy.verify()
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 5)
    (verified,) = busy.events(ev.Verified)
    assert "pointer not seen" in verified.how
    assert busy.clock.elapsed() - began < 130
    assert busy.events(ev.Processed) == []


@pytest.mark.fault(23)
def test_a_pointer_that_is_never_ours_is_read_past_at_120_seconds_and_says_so(busy, ids):
    busy.declare(ids(5))
    busy.fault("result", operation="info", times=None, result=foreign_info())
    accepted_at = []
    busy.on_delete(lambda _: accepted_at.append(busy.clock.elapsed()))
    result = busy.apply()
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 5)
    assert "read, pointer not seen" in busy.events(ev.Verified)[0].how
    first_read = busy.requests("get_by_ids")[0].at - busy.deletes()[0].at
    assert 120 <= first_read <= 131


def foreign_info(count=300):
    return {
        "dimensions": 32,
        "vectorCount": count,
        "processedUpToDatetime": "2026-11-22T12:00:00Z",
        "processedUpToMutation": "99999999-0000-4000-8000-000000000000",
    }


@pytest.mark.fault(23)
def test_an_unmoved_pointer_with_the_ids_still_there_never_verifies(busy, ids):
    busy.declare(ids(5))
    busy.emulator.hold()
    result = busy.apply(timeout=200)
    assert (result.exit_code, result.verified, result.pending) == (ExitCode.NOT_SETTLED, 0, 5)
    assert busy.events(ev.Verified, ev.Reappeared) == []
    busy.emulator.release()
    assert busy.verify().exit_code is ExitCode.DONE
    assert busy.actions() == {}


@pytest.mark.fault(23)
def test_a_pointer_that_goes_backwards_takes_nothing_back(busy, ids):
    busy.declare(ids(250))
    busy.apply(wait=False)
    busy.clock.advance(31)
    first = busy.record().batches[0].mutation_id
    busy.fault("result", operation="get_by_ids", result=None)  # the first read fails
    assert busy.verify(timeout=1).pending == 0
    assert busy.ids(Status.VERIFIED) == ids(250)
    busy.fault("result", operation="info", times=None, result=foreign_info() | {"processedUpToMutation": first})
    assert busy.verify(audit=True).exit_code is ExitCode.DONE
    assert busy.ids(Status.VERIFIED) == ids(250)


@pytest.mark.fault(23)
@pytest.mark.parametrize("count", [0, 10**9])
def test_a_vector_count_that_lies_is_never_proof(busy, ids, count):
    busy.declare(ids(60))
    busy.emulator.hold()
    pointer = foreign_info(count)
    busy.fault("result", operation="info", times=None, result=pointer)
    result = busy.apply(timeout=150)
    assert (result.exit_code, result.verified) == (ExitCode.NOT_SETTLED, 0)
    assert busy.events(ev.Verified) == []


def test_ids_that_are_there_for_a_while_after_processing_are_read_again(world, ids):
    world.declare(ids(5))
    world.fault("result", operation="get_by_ids", times=3, result=[{"id": "doc-002", "values": []}])
    result = world.apply()
    assert (result.exit_code, result.verified, result.reappeared) == (ExitCode.DONE, 5, 0)
    assert world.events(ev.Reappeared) == []
    assert [entry.ids for entry in world.requests("get_by_ids")] == [tuple(ids(5))] + [("doc-002",)] * 3


def test_still_there_120_seconds_after_processing_is_reappeared_when_the_time_runs_out(world, ids):
    world.declare(ids(5))
    world.fault("result", operation="get_by_ids", times=None, result=[{"id": "doc-002", "values": []}])
    result = world.apply(timeout=150)
    assert (result.exit_code, result.verified, result.reappeared) == (ExitCode.FOUND, 4, 1)
    assert world.ids(Status.REAPPEARED) == ["doc-002"]
    assert world.actions() == {"!": ["doc-002"]}
    world.emulator.faults.clear()
    assert world.apply().exit_code is ExitCode.DONE
    assert world.actions() == {}


def test_there_but_not_for_long_enough_is_pending_and_a_later_verify_ends_it(world, ids):
    world.declare(ids(5))
    world.fault("result", operation="get_by_ids", times=None, result=[{"id": "doc-002", "values": []}])
    result = world.apply(timeout=60)
    assert (result.exit_code, result.verified, result.pending) == (ExitCode.NOT_SETTLED, 4, 1)
    assert world.actions() == {"~": ["doc-002"]}
    world.clock.advance(3600)
    again = world.verify(timeout=1)  # 120 s after processing have passed long since
    assert (again.exit_code, len(again.reappeared)) == (ExitCode.FOUND, 1)
    assert world.actions() == {"!": ["doc-002"]}


def test_batches_that_were_verified_but_for_some_ids_are_not_called_verified(world, ids):
    world.configure(api={"batch_size": 2})
    world.declare(ids(6))
    world.fault("result", operation="get_by_ids", times=None, result=[{"id": "doc-002", "values": []}])
    world.apply(timeout=10)
    assert [b.status for b in world.record().batches] == ["verified", "processed", "verified"]
    assert world.ids(Status.VERIFIED) == [i for i in ids(6) if i != "doc-002"]
    world.emulator.faults.clear()
    assert world.verify().verified == 1
    assert world.ids(Status.VERIFIED) == ids(6)


def test_an_id_named_singly_keeps_its_status_when_its_whole_batch_is_verified(world, ids):
    """A read of a batch says nothing of ids that the read did not ask for."""
    world.configure(api={"batch_size": 10})
    world.declare(ids(10))
    world.fault("result", operation="get_by_ids", times=None, result=[{"id": i, "values": []} for i in ids(2)])
    world.apply(timeout=150)
    assert world.ids(Status.REAPPEARED) == ids(2)
    world.emulator.faults.clear()
    assert world.verify().exit_code is ExitCode.FOUND
    assert world.ids(Status.REAPPEARED) == ids(2)


@pytest.mark.fault(24)
def test_an_id_put_back_behind_our_back_is_found_by_an_audit_planned_and_deleted_again(world, ids):
    world.declare(ids(5))
    world.apply()
    world.seed(["doc-003"])
    assert world.verify().exit_code is ExitCode.DONE  # nothing is pending: nothing is read
    found = world.verify(audit=True)
    assert (found.exit_code, found.verified) == (ExitCode.FOUND, 4)
    assert [list(each) for _, each in found.reappeared] == [["doc-003"]]
    assert world.verify().exit_code is ExitCode.FOUND
    assert world.actions() == {"!": ["doc-003"]}
    assert world.apply().exit_code is ExitCode.DONE
    assert "doc-003" not in world.live()
    assert world.verify(audit=True).exit_code is ExitCode.DONE


def test_an_audit_that_could_not_read_is_not_success(world, ids):
    world.declare(ids(5))
    world.apply()
    world.fault("error", operation="get_by_ids", status=500, times=None)
    result = world.verify(audit=True, timeout=30)
    assert result.exit_code is ExitCode.NOT_SETTLED
    assert (result.verified, result.pending) == (0, 5)


def test_an_audit_that_was_interrupted_is_not_success(world, ids):
    world.declare(ids(50))
    world.apply()

    def interrupt(request):
        if "get_by_ids" in request.url.path or "/list" in request.url.path:
            world.interrupts.request()

    world.bridge.before.append(interrupt)
    assert world.verify(audit=True).exit_code is ExitCode.INTERRUPTED


def recreate(world, index="docs"):
    world.emulator.delete_index(world.account, index)
    world.clock.advance(1)
    world.emulator.create_index(world.account, index)


@pytest.mark.fault(23)
def test_a_re_created_index_is_an_error_in_verify_and_nothing_is_verified(busy, ids):
    busy.declare(ids(5))
    busy.apply(wait=False)
    recreate(busy)
    result = busy.verify()
    assert result.exit_code is ExitCode.ERROR
    assert isinstance(result.errors[0], IndexRecreated)
    assert busy.events(ev.Verified) == []
    assert busy.verify(audit=True).exit_code is ExitCode.ERROR


@pytest.mark.fault(23)
def test_an_index_re_created_between_the_reads_of_a_proof_proves_nothing(world, ids):
    world.declare(ids(5))

    def strike(request):
        if request.url.path.endswith("/get_by_ids"):
            world.bridge.before.remove(strike)
            recreate(world)

    world.bridge.before.append(strike)
    result = world.apply()
    assert result.exit_code is ExitCode.ERROR
    assert isinstance(result.errors[0], IndexRecreated)
    assert world.events(ev.Verified) == []


@pytest.mark.fault(23)
def test_a_missing_index_is_an_error_in_verify(busy, ids):
    busy.declare(ids(5))
    busy.apply(wait=False)
    busy.emulator.delete_index(busy.account, "docs")
    result = busy.verify()
    assert result.exit_code is ExitCode.ERROR
    assert isinstance(result.errors[0], IndexNotFound)
    assert busy.events(ev.Verified) == []


def test_created_on_is_read_before_and_after_every_proof(world, ids):
    world.declare(ids(5))
    world.apply()
    operations = [entry.operation for entry in world.requests()]
    read = operations.index("get_by_ids")
    assert operations[read - 1] == operations[read + 1] == "index_get"


def test_a_long_wait_keeps_its_lease_and_tells_its_progress(busy, ids):
    busy.declare(ids(5))
    busy.emulator.hold()
    busy.apply(timeout=900)
    times = [frame.at for frame in busy.frames()]
    assert len(busy.events(ev.LeaseRenewed)) >= 7
    assert times == sorted(times)
    assert sum(notice.type == "progress" for notice in busy.notices) >= 80


def test_requests_of_the_wait_are_counted_in_the_log(busy, ids):
    busy.declare(ids(5))
    busy.emulator.hold()
    result = busy.apply(timeout=50)
    counted = sum(count for _, count in busy.state.requests)
    assert counted == result.requests == len(busy.requests())


def test_a_run_that_is_taken_over_during_its_proof_keeps_what_it_read(busy, ids):
    busy.declare(ids(5))

    def take_over(request):
        if request.url.path.endswith("/get_by_ids"):
            busy.bridge.before.remove(take_over)
            unlock(busy.context(), busy.state.open_run.run, "I know that it is dead")

    busy.bridge.before.append(take_over)
    with pytest.raises(RunFenced):
        busy.apply()
    kept = (busy.root / f"reconciler-unsaved-{busy.state.lineage}.jsonl").read_text()
    assert '"verified"' in kept
    assert busy.verify().exit_code is ExitCode.DONE


def test_targets_settle_beside_each_other_and_one_that_fails_does_not_hold_up_the_rest(make_world, ids):
    world = make_world(lag=20.0)
    for index in ("one", "two", "three"):
        world.seed(ids(5), index)
        world.declare(ids(5), index, name=f"{index}.yaml")
    world.fault("error", operation="get_by_ids", index="two", status=400, code=40008, times=None)
    result = world.apply()
    assert (result.exit_code, result.verified, result.pending) == (ExitCode.ERROR, 10, 5)
    assert world.requests("get_by_ids")[-1].at - world.deletes()[0].at < 60


def test_many_ids_that_are_still_there_do_not_make_one_giant_event(make_world):
    world = make_world()
    many = [f"n-{n:05}" for n in range(12_000)]
    world.seed(many)
    world.declare(many)
    world.configure(limits={"max_deletes": 20_000})
    world.apply()
    world.seed(many)
    assert world.verify(audit=True).exit_code is ExitCode.FOUND
    assert [len(event.ids) for event in world.events(ev.Reappeared)] == [10_000, 2_000]
    for frame in world.frames():
        assert sum(len(getattr(event, "ids", ())) for event in frame.events) <= 10_000


@pytest.mark.fault(23)
def test_present_120_seconds_after_the_fallback_is_reappeared_though_the_pointer_was_never_seen(busy, ids):
    """Else a busy index would leave an id that came back waiting for ever, and never delete it again."""
    busy.declare(ids(5))
    busy.emulator.hold()
    busy.fault("result", operation="info", times=None, result=foreign_info())
    assert busy.apply(timeout=230).exit_code is ExitCode.NOT_SETTLED
    assert busy.verify(timeout=130).exit_code is ExitCode.FOUND
    assert busy.actions() == {"!": ids(5)}


@pytest.mark.fault(12)
def test_a_step_of_the_wall_clock_does_not_shorten_the_120_seconds(busy, ids, monkeypatch):
    settle = Settler.settle

    def stepped(*arguments, **options):
        busy.clock.set_wall(busy.clock.now() + timedelta(seconds=180))
        return settle(*arguments, **options)

    monkeypatch.setattr(Settler, "settle", stepped)
    busy.declare(ids(5))
    busy.emulator.remove(busy.account, "docs", ids(5))
    busy.emulator.hold()  # an upsert before ours may still be in the log, too
    result = busy.apply(timeout=100)
    assert (result.exit_code, result.verified, result.pending) == (ExitCode.NOT_SETTLED, 0, 5)
    assert busy.requests("get_by_ids") == []


@pytest.mark.fault(12)
def test_batches_accepted_in_the_future_are_as_old_as_one_accepted_now(busy, ids):
    busy.declare(ids(5))
    busy.emulator.hold()
    busy.apply(wait=False)
    busy.clock.set_wall(busy.clock.now() - timedelta(hours=1))
    busy.emulator.remove(busy.account, "docs", ids(5))
    assert busy.verify(timeout=119).verified == 0
    assert busy.requests("get_by_ids") == []


def test_only_a_read_begun_120_seconds_after_processing_says_that_an_id_reappeared(world, ids):
    """When the reads fail from some time on, nobody knows whether the id is still there at the end."""
    world.declare(ids(5))
    world.fault("result", operation="get_by_ids", times=None, result=[{"id": "doc-002", "values": []}])
    began = world.clock.elapsed()

    def refuse(request):
        late = request.url.path.endswith("/get_by_ids") and world.clock.elapsed() - began > 60
        return httpx.ConnectError("down") if late else None

    world.bridge.refuse = refuse
    result = world.apply(timeout=150)
    assert (result.exit_code, result.verified, result.pending) == (ExitCode.NOT_SETTLED, 4, 1)
    assert world.events(ev.Reappeared) == []


def test_ids_that_were_all_there_for_a_while_leave_their_batch_verified(world, ids):
    world.declare(ids(2))
    world.fault("result", operation="get_by_ids", result=[{"id": i, "values": []} for i in ids(2)])
    assert world.apply().verified == 2
    assert [batch.status for batch in world.record().batches] == ["verified"]


@pytest.fixture
def long(make_world):
    """5,000 ids to be read by name, as there is no list."""
    world = make_world()
    world.seed(["other"])
    world.declare(f"n-{n:05}" for n in range(5000))
    world.fault("raw", operation="list", times=None, status=200, content_type="application/json", body="{")
    return world


def on_read(world, hook):
    def before(request):
        if request.url.path.endswith("/get_by_ids"):
            hook(len(world.requests("get_by_ids")))

    world.bridge.before.append(before)


def check_40_batches_are_verified(world):
    assert len(world.ids(Status.VERIFIED)) == 4000
    assert sorted(batch.status for batch in world.record().batches) == ["processed"] * 10 + ["verified"] * 40
    assert [len(event.ids) for event in world.events(ev.Verified)] == [0, 0]
    world.emulator.faults.clear()
    world.fault("raw", operation="list", times=None, status=200, content_type="application/json", body="{")
    world.bridge.before.clear()
    before = len(world.requests("get_by_ids"))
    assert world.verify().exit_code is ExitCode.DONE
    assert len(world.requests("get_by_ids")) - before == 50
    assert {batch.status for batch in world.record().batches} == {"verified"}


def test_an_outage_in_the_middle_of_a_long_proof_loses_the_slice_that_it_struck(long):
    long.fault("error", operation="get_by_ids", nth=230, status=500, times=None)
    result = long.apply(timeout=60)
    assert (result.exit_code, result.verified, result.pending) == (ExitCode.NOT_SETTLED, 4000, 1000)
    check_40_batches_are_verified(long)


def test_an_interrupt_in_the_middle_of_a_long_proof_keeps_what_was_read(long):
    on_read(long, lambda number: long.interrupts.request() if number == 230 else None)
    assert long.apply().exit_code is ExitCode.INTERRUPTED
    check_40_batches_are_verified(long)


def test_a_long_proof_ends_after_the_slice_in_which_the_time_runs_out(long):
    on_read(long, lambda _: long.clock.advance(1))
    result = long.apply(timeout=150)
    assert (result.exit_code, result.verified, result.pending) == (ExitCode.NOT_SETTLED, 4000, 1000)
    check_40_batches_are_verified(long)


def test_a_proof_that_an_outage_interrupts_goes_on_where_it_was(long):
    long.fault("error", operation="get_by_ids", with_id="n-02000", status=500, times=5)
    result = long.apply()
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 5000)
    failed = [notice for notice in long.notices if notice.type == "read_failed" and notice.status == 500]
    assert len(failed) == 4
    assert len(long.requests("get_by_ids")) <= 250 + 5 + 100


def test_the_time_left_of_a_proof_by_name_is_known_from_its_pace(long):
    on_read(long, lambda _: long.clock.advance(1))
    long.apply(timeout=1000)
    left = [n.seconds_left for n in long.notices if n.type == "progress" and n.phase == "settling"]
    known = [seconds for seconds in left if seconds is not None]
    assert left[0] is None
    assert 230 < known[0] < 360
    assert known[-1] < 10

"""Intent, request, outcome: in this order, in few frames, within the budget."""

from __future__ import annotations

import itertools
import json
import threading

import httpx
import pytest

from reconciler.applier import LINGER, work_for
from reconciler.clock import SystemClock, parse_timestamp
from reconciler.errors import ExitCode, PlanRefused
from reconciler.model.diagnostic import Severity
from reconciler.model.idset import IdSet
from reconciler.model.target import LOOPBACK, Target
from reconciler.operations.applying import ApplyOptions, apply
from reconciler.state import events as ev
from reconciler.state.stores.file import FileStore


def numbered(count):
    return [f"x-{n:04}" for n in range(count)]


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_every_request_arrives_after_its_intent_is_durable(world, concurrency):
    world.declare(numbered(2000))
    world.configure(api={"concurrency": concurrency})
    world.check_intent_first()
    assert world.apply().exit_code is ExitCode.DONE


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_outcomes_come_first_in_a_frame_and_intents_run_at_most_twice_the_concurrency_ahead(world, concurrency):
    world.declare(numbered(4000))
    world.configure(api={"concurrency": concurrency})
    world.apply()
    waiting = set()
    for frame in world.frames():
        kinds = [type(e) for e in frame.events if isinstance(e, ev.Accepted | ev.Failed | ev.Intent)]
        assert kinds == sorted(kinds, key=lambda kind: kind is ev.Intent)
        for event in frame.events:
            if isinstance(event, ev.Intent):
                waiting.add(event.batch)
            elif isinstance(event, ev.Accepted):
                waiting.discard(event.batch)
            assert len(waiting) <= 2 * concurrency
    assert not waiting


def test_many_outcomes_share_a_frame(world):
    world.declare(numbered(4000))
    world.apply()
    assert len(world.frames()) < 2 * 40 / 3


@pytest.mark.parametrize("budget", [4, 9])
def test_an_outcome_is_recorded_soon_although_enough_is_ready_to_be_sent(world, budget):
    """With a budget that lets a request start now and then, nothing else would make a frame due."""
    world.declare(numbered(2000))
    world.configure(api={"requests_per_five_minutes": budget, "concurrency": 8})
    arrived = []
    world.on_delete(lambda _: arrived.append(world.clock.now()))
    assert world.apply(timeout=3000).exit_code is ExitCode.DONE
    recorded = [
        parse_timestamp(frame.at)
        for frame in world.frames()
        for event in frame.events
        if isinstance(event, ev.Accepted)
    ]
    assert len(recorded) == len(arrived) == 20
    waited = [(then - at).total_seconds() for at, then in zip(arrived, recorded, strict=True)]
    assert min(waited) >= 0
    assert max(waited) <= LINGER + 0.001
    assert any(wait >= LINGER - 0.001 for wait in waited), "none waited for another"


def test_a_slow_answer_holds_back_no_other_record_and_one_append_is_in_flight(world, monkeypatch):
    world.declare(numbered(600))
    world.configure(api={"concurrency": 4})
    others_recorded, slow, appending, most = threading.Event(), [], [], []
    real = FileStore.append

    def append(store, line, position):
        appending.append(position)
        most.append(len(appending))
        try:
            return real(store, line, position)
        finally:
            appending.remove(position)
            if sum(line.count(b'"kind":"accepted"') for line in world.state_path.read_bytes().splitlines()) >= 4:
                others_recorded.set()

    def hook(ids):
        if not slow:
            slow.append(ids)
            assert others_recorded.wait(10), "other outcomes waited for the slow one"

    monkeypatch.setattr(FileStore, "append", append)
    world.on_delete(hook)
    result = world.apply(context=world.context(clock=SystemClock(), threads=True))
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 600)
    assert max(most) == 1


def test_the_closing_batch_is_sent_alone_after_every_other_outcome_is_recorded(world):
    world.declare(numbered(950))
    arrived = []

    def hook(ids):
        content = world.state_path.read_bytes()
        arrived.append((len(ids), content.count(b'"kind":"accepted"')))

    world.on_delete(hook)
    world.apply()
    assert arrived[-1] == (50, 9)


def test_a_request_leaves_only_while_the_newest_frame_is_under_30_seconds_old(world):
    """The budget lets a few start every five minutes: what waits so long needs a new frame before it leaves."""
    world.declare(numbered(1200))
    world.configure(api={"requests_per_five_minutes": 4, "concurrency": 2})
    ages = []

    def hook(_):
        newest = parse_timestamp(json.loads(world.state_path.read_bytes().splitlines()[-1])["at"])
        ages.append((world.clock.now() - newest).total_seconds())

    world.on_delete(hook)
    assert world.apply(timeout=3000).exit_code is ExitCode.DONE
    assert len(ages) == 12
    assert max(ages) < 30
    assert len(world.events(ev.LeaseRenewed)) > 4


def test_a_pause_of_90_seconds_makes_every_intent_stale_and_forces_a_new_frame_first(world):
    world.declare(numbered(200))
    world.configure(api={"concurrency": 1})
    world.fault("error", status=429, retry_after=90)
    ages = []

    def hook(_):
        newest = parse_timestamp(json.loads(world.state_path.read_bytes().splitlines()[-1])["at"])
        ages.append((world.clock.now() - newest).total_seconds())

    world.on_delete(hook)
    assert world.apply().exit_code is ExitCode.DONE
    assert len(ages) == 3
    assert max(ages) < 30


def within(world, budget, window=300):
    moments = sorted(entry.at for entry in world.requests())
    return all(later - earlier >= window for earlier, later in zip(moments, moments[budget:], strict=False))


@pytest.mark.parametrize("refresh", [False, True])
def test_the_budget_holds_in_any_five_minutes_across_processes(make_world, refresh):
    world = make_world(lag=20.0)
    world.seed(numbered(900))
    world.configure(api={"requests_per_five_minutes": 9, "concurrency": 4}, limits={"max_percent": 100})
    for count in (300, 500, 900):
        world.declare(numbered(count))
        assert world.apply(refresh=refresh, timeout=3000).exit_code is ExitCode.DONE
    assert world.verify(audit=True, timeout=3000).exit_code is ExitCode.DONE
    assert len(world.requests()) > 27
    assert within(world, 9)


def test_an_interrupted_or_failed_run_is_counted_too(make_world):
    world = make_world()
    world.configure(api={"requests_per_five_minutes": 9, "concurrency": 2})
    world.seed(["other"])
    world.declare(numbered(500))
    world.fault("error", status=500, times=3)
    world.on_delete(lambda _: world.interrupts.request() if len(world.deletes()) == 4 else None)
    assert world.apply().exit_code is ExitCode.INTERRUPTED
    world.bridge.before.clear()
    assert world.apply(timeout=3000).exit_code is ExitCode.DONE
    assert within(world, 9)


def test_what_the_service_announces_slows_the_run_down(make_world):
    world = make_world(budget=12)
    world.seed(numbered(1500))
    world.declare(numbered(1500))
    result = world.apply(timeout=3000)
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 1500)
    assert [entry.status for entry in world.requests() if entry.status == 429] == []


def test_progress_is_told_at_least_every_ten_seconds(make_world):
    world = make_world()
    world.seed(["other"])
    world.declare(numbered(1000))
    world.configure(api={"requests_per_five_minutes": 4, "concurrency": 1})
    told = []
    context = world.context()
    apply(context, options=ApplyOptions(timeout=3000), notify=lambda _: told.append(world.clock.elapsed()))
    gaps = [later - earlier for earlier, later in itertools.pairwise(told)]
    assert max(gaps) <= 11


def test_work_is_refused_whole_when_one_id_is_kept_or_declared_nowhere():
    target = Target(LOOPBACK, "0" * 32, "docs")
    ids = IdSet.of(["a", "b"])
    with pytest.raises(PlanRefused, match="protected by a keep"):
        work_for(1, target, ids, {1: ids}, IdSet.of(["a"]))
    with pytest.raises(PlanRefused, match="declared in no manifest"):
        work_for(1, target, ids, {1: IdSet.of(["a"])}, IdSet())
    work = work_for(1, target, ids, {1: ids, 2: IdSet.of(["b"])}, IdSet())
    assert [(numbers, list(part)) for numbers, part in work.groups] == [((1,), ["a"]), ((1, 2), ["b"])]


def test_targets_take_turns_and_each_has_its_own_closing_batch(make_world):
    world = make_world()
    for index in ("one", "two", "three"):
        world.seed(numbered(350), index)
        world.declare(numbered(350), index, name=f"{index}.yaml")
    world.configure(api={"concurrency": 3})
    assert world.apply().exit_code is ExitCode.DONE
    assert {entry.index for entry in world.deletes()[:3]} == {"one", "two", "three"}
    for index in ("one", "two", "three"):
        assert [len(entry.ids) for entry in world.deletes(index)] == [100, 100, 100, 50]


def saying(world, *texts):
    """The service says more and more: the answer to the n-th delete brings the first n of `texts`."""
    answer = world.bridge.handle_request
    told = []

    def handle(request):
        response = answer(request)
        if not request.url.path.endswith("/delete_by_ids"):
            return response
        told.append(1)
        document = {
            **json.loads(response.read()),
            "messages": [{"code": 1001, "message": t} for t in texts[: len(told)]],
        }
        return httpx.Response(response.status_code, json=document)

    world.bridge.handle_request = handle


def test_what_the_service_says_beside_an_acceptance_is_told_once_and_cut(world):
    world.declare(numbered(500))
    saying(world, "this endpoint goes away\x1b[2J", "z" * 5000)
    assert world.apply().exit_code is ExitCode.DONE
    told = [
        n.diagnostic for n in world.notices if n.type == "diagnostic" and n.diagnostic.code == "service-message"
    ]
    assert [each.severity for each in told] == [Severity.WARNING] * 2
    assert "docs: the service says: this endpoint goes away" in told[0].summary
    assert all(each.summary.isprintable() and len(each.summary) < 600 for each in told)


def test_a_message_that_differs_every_time_does_not_bury_the_rest(world):
    world.declare(numbered(4000))
    saying(world, *(f"request {n}" for n in range(40)))
    assert world.apply().exit_code is ExitCode.DONE
    told = [n for n in world.notices if n.type == "diagnostic" and n.diagnostic.code == "service-message"]
    assert len(told) == 20

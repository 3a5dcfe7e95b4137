from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.clock import ManualClock, SystemClock
from reconciler.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ServiceError,
    ServiceFault,
    Throttled,
    TooManyIds,
)
from reconciler.vectorize import Budget, Dispatcher, Outcome, RetryPolicy


def inline(clock: ManualClock, *, concurrency: int = 1, budget: Budget | None = None, **options) -> Dispatcher:
    return Dispatcher(clock, budget or Budget(clock), concurrency=concurrency, threads=False, **options)


def script(*turns: object) -> Callable[[], object]:
    """A send that does the next of `turns` at each attempt; the last one for ever."""
    left = list(turns)

    def send() -> object:
        turn = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(turn, BaseException):
            raise turn
        return turn

    return send


def timed(clock: ManualClock, starts: list[float], *turns: object) -> Callable[[], object]:
    """As `script`, and `starts` gets the moment of each attempt."""
    send = script(*turns)

    def attempt() -> object:
        starts.append(clock.elapsed())
        return send()

    return attempt


def drain(dispatcher: Dispatcher) -> list[Outcome]:
    outcomes = []
    while dispatcher.queued or dispatcher.in_flight:
        outcome = dispatcher.next(1000.0)
        if outcome is not None:
            outcomes.append(outcome)
    return outcomes


def test_calls_start_in_the_order_of_submission():
    dispatcher = inline(ManualClock(), concurrency=3)
    for number in range(10):
        dispatcher.submit(number, script(number * 2))
    outcomes = drain(dispatcher)
    assert [(each.key, each.result) for each in outcomes] == [(n, n * 2) for n in range(10)]
    assert all(each.final and each.attempt == 1 and each.error is None for each in outcomes)
    assert dispatcher.budget.started == 10
    assert dispatcher.requests_left == 1190


def test_500_three_times_then_success_shows_every_attempt():
    clock = ManualClock()
    dispatcher = inline(clock)
    fault = ServiceFault("500", status=500)
    starts: list[float] = []
    dispatcher.submit("a", timed(clock, starts, fault, fault, fault, "done"))
    outcomes = drain(dispatcher)
    assert [(each.attempt, each.final, each.error is fault) for each in outcomes] == [
        (1, False, True),
        (2, False, True),
        (3, False, True),
        (4, True, False),
    ]
    assert outcomes[-1].result == "done"
    for outcome, (before, after) in zip(outcomes, pairwise(starts), strict=False):
        assert outcome.retry_in is not None
        assert after >= before + outcome.retry_in - 1e-5
    assert outcomes[-1].retry_in is None


def test_a_fault_that_does_not_pass_ends_after_five_attempts():
    dispatcher = inline(ManualClock())
    dispatcher.submit("a", script(ConnectionFailed("gone", may_have_been_accepted=True)))
    outcomes = drain(dispatcher)
    assert [each.final for each in outcomes] == [False] * 4 + [True]
    assert outcomes[-1].error is not None
    assert dispatcher.queued == 0


@pytest.mark.parametrize("error", [AuthenticationFailed("no"), TooManyIds("many", maximum=50)])
def test_a_refusal_is_not_tried_again(error):
    dispatcher = inline(ManualClock())
    dispatcher.submit("a", script(error))
    (outcome,) = drain(dispatcher)
    assert outcome.final
    assert outcome.error is error


def test_an_unpassing_instance_of_a_passing_kind_is_not_tried_again():
    error = ServiceFault("redirect", status=307)
    error.passing = False
    dispatcher = inline(ManualClock())
    dispatcher.submit("a", script(error))
    assert len(drain(dispatcher)) == 1


def test_a_429_with_retry_after_90_holds_everybody_for_90_seconds():
    clock = ManualClock()
    dispatcher = inline(clock)
    starts: list[float] = []
    dispatcher.submit("a", timed(clock, starts, Throttled("429", status=429, retry_after=90.0), "done"))
    dispatcher.submit("b", timed(clock, starts, "b"))
    outcomes = drain(dispatcher)
    assert [each.key for each in outcomes] == ["a", "a", "b"]
    assert outcomes[0].retry_in == 90.0
    assert starts[1] - starts[0] == pytest.approx(90.0)
    assert starts[2] >= starts[1]


def test_an_index_throttle_holds_only_its_own_call():
    clock = ManualClock()
    dispatcher = inline(clock)
    starts: list[float] = []
    throttle = Throttled("40041", code=40041, status=400, retry_after=30.0)
    dispatcher.submit("a", timed(clock, starts, throttle, "done"))
    dispatcher.submit("b", timed(clock, starts, "b"))
    outcomes = drain(dispatcher)
    assert [each.key for each in outcomes] == ["a", "b", "a"]
    assert starts[1] == starts[0]
    assert starts[2] - starts[0] == pytest.approx(30.0)


def test_a_throttle_that_ends_a_call_still_holds_the_others():
    clock = ManualClock()
    dispatcher = inline(clock, policy=RetryPolicy(attempts=1))
    starts: list[float] = []
    dispatcher.submit("a", timed(clock, starts, Throttled("971", code=971, retry_after=120.0)))
    dispatcher.submit("b", timed(clock, starts, "b"))
    assert drain(dispatcher)[0].final
    assert starts[1] - starts[0] == pytest.approx(120.0)


def test_a_retry_that_is_due_goes_before_new_calls():
    clock = ManualClock()
    dispatcher = inline(clock)
    dispatcher.submit("a", script(ServiceFault("500", retry_after=5.0), "done"))
    dispatcher.submit("b", script("b"))
    dispatcher.submit("c", script("c"))
    assert dispatcher.next(1.0).key == "a"
    assert dispatcher.next(1.0).key == "b"
    clock.advance(5.0)
    assert dispatcher.next(1.0).key == "a"
    assert dispatcher.next(1.0).key == "c"


def test_every_outcome_is_seen_before_anything_further_starts():
    made: list[str] = []
    dispatcher = inline(ManualClock(), concurrency=2)
    for key in "abcd":
        dispatcher.submit(key, lambda key=key: made.append(key))
    assert dispatcher.next(1.0).key == "a"
    assert dispatcher.next(1.0).key == "b"
    assert made == ["a", "b"]


def test_no_more_are_in_flight_than_allowed():
    now, most = [0], [0]
    lock = threading.Lock()

    def send() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.002)
        with lock:
            now[0] -= 1

    clock = SystemClock()
    with Dispatcher(clock, Budget(clock, per_second=None), concurrency=4) as dispatcher:
        for number in range(60):
            dispatcher.submit(number, send)
        assert len(drain(dispatcher)) == 60
    assert most[0] == 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vectorize-")]


def test_the_budget_is_never_exceeded_retries_included():
    clock = ManualClock()
    budget = Budget(clock, per_window=5, window=300.0)
    dispatcher = inline(clock, concurrency=3, budget=budget)
    starts: list[float] = []
    for number in range(8):
        dispatcher.submit(number, timed(clock, starts, ServiceFault("500"), "done"))
    drain(dispatcher)
    assert len(starts) == 16
    assert all(late - early >= 300.0 for early, late in zip(starts, starts[5:], strict=False))
    assert budget.in_flight == 0


@settings(max_examples=50)
@given(
    per_window=st.integers(20, 150),
    window=st.sampled_from([30.0, 60.0, 300.0]),
    windows=st.integers(2, 5),
    slowness=st.floats(0.0, 0.5),
    turns=st.lists(st.sampled_from(["done", "fault", "index throttle", "refused"]), min_size=1, max_size=40),
)
def test_of_the_budget_98_percent_is_used_in_every_window_and_never_one_more_with_retries_in_the_mix(
    per_window, window, windows, slowness, turns
):
    clock = ManualClock()
    dispatcher = inline(clock, concurrency=8, budget=Budget(clock, per_window=per_window, window=window))
    starts: list[float] = []

    def attempt() -> str:
        starts.append(clock.elapsed())
        turn = turns[len(starts) % len(turns)]
        clock.advance(slowness * window / per_window)  # answers that alone would leave half of the time unused
        if turn == "fault":
            raise ServiceFault("500")
        if turn == "index throttle":
            raise Throttled("40041", code=40041, status=400, retry_after=1.0)
        if turn == "refused":
            raise TooManyIds("40007", maximum=100, code=40007, status=400)
        return turn

    began, number = clock.elapsed(), 0
    while clock.elapsed() < began + windows * window:
        while dispatcher.queued < 2 * dispatcher.concurrency:
            dispatcher.submit(number, attempt)
            number += 1
        dispatcher.next(1.0)
    assert all(late - early >= window for early, late in zip(starts, starts[per_window:], strict=False))
    used = sum(start < began + windows * window for start in starts)
    assert used >= 0.98 * windows * per_window
    for each in range(windows):
        inside = sum(began + each * window <= start < began + (each + 1) * window for start in starts)
        assert 0.98 * per_window - 1 <= inside <= per_window


def test_a_closed_gate_lets_the_caller_act():
    clock = ManualClock()
    fresh = [False]
    dispatcher = inline(clock, gate=lambda: fresh[0])
    dispatcher.submit("a", script("done"))
    before = clock.elapsed()
    assert dispatcher.next(100.0) is None
    assert dispatcher.held
    assert clock.elapsed() == before
    fresh[0] = True
    assert dispatcher.next(100.0).key == "a"
    assert not dispatcher.held


def test_a_gate_that_closes_does_not_hide_what_is_in_flight():
    asked = iter([True, False, True])
    dispatcher = inline(ManualClock(), concurrency=2, gate=lambda: next(asked))
    dispatcher.submit("a", script("a"))
    dispatcher.submit("b", script("b"))
    assert dispatcher.next(1.0).key == "a"
    assert dispatcher.held
    assert dispatcher.next(1.0).key == "b"


def test_the_gate_is_asked_only_when_something_may_start():
    asked: list[int] = []
    clock = ManualClock()
    dispatcher = inline(clock, budget=Budget(clock, per_window=1), gate=lambda: not asked.append(1))
    dispatcher.submit("a", script("a"))
    dispatcher.submit("b", script("b"))
    dispatcher.next(1.0)
    assert dispatcher.next(1.0) is None
    assert len(asked) == 1


def test_time_runs_out_without_an_outcome():
    clock = ManualClock()
    dispatcher = inline(clock)
    dispatcher.submit("a", script(ServiceFault("500", retry_after=60.0), "done"))
    assert dispatcher.next(1.0) is not None
    before = clock.elapsed()
    assert dispatcher.next(10.0) is None
    assert clock.elapsed() - before == pytest.approx(10.0)
    assert dispatcher.queued == 1
    assert inline(clock).next(5.0) is None


def test_after_stop_nothing_starts_and_everything_is_accounted_for():
    dispatcher = inline(ManualClock(), concurrency=2)
    fault = ServiceFault("500")
    dispatcher.submit("retry", script(fault, "never"))
    dispatcher.submit("flying", script(fault))
    dispatcher.submit("waiting", script("never"))
    first = dispatcher.next(1.0)
    assert (first.key, first.final) == ("retry", False)
    dispatcher.stop()
    second = dispatcher.next(1.0)
    assert (second.key, second.final, second.retry_in) == ("flying", True, None)
    assert dispatcher.queued == 0
    assert dispatcher.next(1000.0) is None
    dispatcher.submit("late", script("never"))
    assert dispatcher.abandoned() == ["retry", "waiting", "late"]
    assert dispatcher.abandoned() == []


def test_stopping_twice_does_not_make_the_caller_spin():
    clock = ManualClock()
    dispatcher = inline(clock)
    dispatcher.submit("a", script("a"))
    dispatcher.stop()
    dispatcher.stop()
    assert dispatcher.next(1.0) is None
    assert dispatcher._events.empty()


def test_wake_ends_a_wait_from_a_signal_handler():
    clock = SystemClock()
    with Dispatcher(clock, Budget(clock), concurrency=1) as dispatcher:
        before = signal.signal(signal.SIGUSR1, lambda *_: dispatcher.wake())
        timer = threading.Timer(0.02, os.kill, [os.getpid(), signal.SIGUSR1])
        try:
            timer.start()
            began = clock.elapsed()
            assert dispatcher.next(30.0) is None
            assert clock.elapsed() - began < 15
        finally:
            timer.join()
            signal.signal(signal.SIGUSR1, before)


def test_an_outcome_that_has_arrived_comes_before_a_wake():
    dispatcher = inline(ManualClock(), concurrency=2)
    dispatcher.submit("a", script("a"))
    dispatcher.submit("b", script("b"))
    assert dispatcher.next(1.0).key == "a"
    dispatcher.wake()
    assert dispatcher.next(1.0).key == "b"
    assert dispatcher.next(1.0) is None


@pytest.mark.parametrize("threads", [True, False])
def test_a_bug_in_a_call_is_raised_where_the_caller_sees_it(threads):
    clock = SystemClock()
    with Dispatcher(clock, Budget(clock), concurrency=1, threads=threads) as dispatcher:
        dispatcher.submit("a", script(ZeroDivisionError("bug")))
        dispatcher.submit("b", script("b"))
        with pytest.raises(ZeroDivisionError):
            dispatcher.next(5.0)
        assert dispatcher.next(5.0).key == "b"
        assert dispatcher.abandoned() == ["a"]


def test_a_key_is_open_once():
    dispatcher = inline(ManualClock())
    dispatcher.submit("a", script("a"))
    with pytest.raises(ValueError, match="open"):
        dispatcher.submit("a", script("a"))
    drain(dispatcher)
    dispatcher.submit("a", script("again"))
    assert drain(dispatcher)[0].result == "again"


def test_a_call_that_was_never_started_can_be_withdrawn_and_costs_nothing():
    dispatcher = inline(ManualClock())
    dispatcher.submit("tried", script(ServiceFault("500"), "done"))
    dispatcher.submit("unwanted", script("never"))
    dispatcher.submit("wanted", script("wanted"))
    assert dispatcher.next(0.0).key == "tried"
    assert dispatcher.withdraw("unwanted")
    assert not dispatcher.withdraw("unwanted")
    assert not dispatcher.withdraw("tried")
    assert sorted(each.key for each in drain(dispatcher)) == ["tried", "wanted"]
    assert dispatcher.budget.started == 3
    dispatcher.submit("unwanted", script("again"))
    assert [each.result for each in drain(dispatcher)] == ["again"]


def test_closing_does_not_wait_for_a_call_that_hangs():
    clock = SystemClock()
    release = threading.Event()
    dispatcher = Dispatcher(clock, Budget(clock), concurrency=1)
    dispatcher.submit("a", lambda: release.wait(30))
    assert dispatcher.next(0.01) is None
    workers = list(dispatcher._workers)
    before = time.monotonic()
    dispatcher.close()
    assert time.monotonic() - before < 5
    assert workers[0].daemon
    release.set()
    workers[0].join(10)
    with pytest.raises(RuntimeError):
        dispatcher.submit("b", script(1))


ERRORS = {
    "fault": lambda: ServiceFault("500"),
    "slow": lambda: ServiceFault("503", retry_after=20.0),
    "cut": lambda: ConnectionFailed("cut", may_have_been_accepted=True),
    "429": lambda: Throttled("429", status=429, retry_after=33.0),
    "40041": lambda: Throttled("40041", code=40041),
    "no": lambda: AuthenticationFailed("no"),
    "ok": lambda: None,
}


@given(
    calls=st.lists(st.lists(st.sampled_from(sorted(ERRORS)), min_size=1, max_size=7), max_size=15),
    concurrency=st.integers(1, 5),
    attempts=st.integers(1, 5),
    stop_after=st.none() | st.integers(0, 30),
    gates=st.lists(st.booleans(), max_size=20),
    threads=st.just(value=False) | st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_every_call_ends_in_one_final_outcome_or_is_abandoned(
    calls, concurrency, attempts, stop_after, gates, threads
):
    clock = ManualClock()
    budget = Budget(clock, per_window=7, window=60.0)
    answers = iter(gates)
    made: Counter[int] = Counter()
    dispatcher = Dispatcher(
        clock,
        budget,
        concurrency=concurrency,
        policy=RetryPolicy(attempts=attempts),
        threads=threads,
        gate=lambda: next(answers, True),
    )

    def send_of(number: int) -> Callable[[], object]:
        turns = [*calls[number], "ok"]

        def send() -> object:
            made[number] += 1
            error: ServiceError | None = ERRORS[turns[min(made[number], len(turns)) - 1]]()
            if error is not None:
                raise error
            return number

        return send

    for number in range(len(calls)):
        dispatcher.submit(number, send_of(number))
    outcomes: list[Outcome] = []
    while dispatcher.queued or dispatcher.in_flight:
        if len(outcomes) == stop_after:
            dispatcher.stop()
        assert dispatcher.in_flight <= concurrency
        outcome = dispatcher.next(5.0)
        if outcome is not None:
            outcomes.append(outcome)
    dispatcher.close()
    final = Counter(each.key for each in outcomes if each.final)
    abandoned = dispatcher.abandoned()
    assert all(times == 1 for times in final.values())
    assert sorted([*final, *abandoned]) == list(range(len(calls)))
    assert Counter(each.key for each in outcomes) == made
    assert all(times <= attempts for times in made.values())
    assert budget.started == len(outcomes)
    assert budget.in_flight == 0
    for each in outcomes:
        assert each.final == (each.retry_in is None)
        assert (each.error is None) == (each.result is not None)


@pytest.mark.parametrize("threads", [True, False])
def test_workers_are_left_alone_only_once_a_start_and_once_an_answer_that_was_waited_for(monkeypatch, threads):
    """A `wake`, and what has arrived already, cost no time; without threads there is nobody to be left alone."""
    pauses = []
    monkeypatch.setattr("reconciler.vectorize.dispatch.time.sleep", pauses.append)
    clock = SystemClock()
    with Dispatcher(clock, Budget(clock), concurrency=2, threads=threads) as dispatcher:
        dispatcher.wake()
        assert dispatcher.next(10.0) is None
        threading.Timer(0.01, dispatcher.wake).start()
        assert dispatcher.next(10.0) is None
        assert not pauses
        for key in range(20):
            dispatcher.submit(key, lambda: None)
        assert len(drain(dispatcher)) == 20
    assert not pauses if not threads else 20 <= len(pauses) <= 40
    assert all(pause < 0.001 for pause in pauses)

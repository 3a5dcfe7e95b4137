from __future__ import annotations

from bisect import bisect_left
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.clock import ManualClock
from reconciler.model.limits import least_seconds
from reconciler.vectorize import UNLIMITED, Budget, Dispatcher, Quota, RateHeaders


def run(budget: Budget, clock: ManualClock, requests: int) -> list[float]:
    """Start as soon as allowed, `requests` times; when each started."""
    starts = []
    for _ in range(requests):
        while wait := budget.delay():
            clock.advance(wait)
        budget.take()
        starts.append(clock.elapsed())
    return starts


def most_in_any(window: float, starts: list[float]) -> int:
    return max(bisect_left(starts, start + window) - number for number, start in enumerate(starts))


@given(
    per_window=st.integers(1, 60),
    window=st.floats(0.5, 400),
    per_second=st.none() | st.integers(1, 50),
    pauses=st.lists(st.floats(0, 100), max_size=30),
)
@settings(max_examples=150, deadline=None)
def test_no_window_ever_holds_more_than_allowed(per_window, window, per_second, pauses):
    clock = ManualClock()
    budget = Budget(clock, per_window=per_window, window=window, per_second=per_second)
    starts = []
    for pause in [*pauses, 0.0]:
        clock.advance(pause)
        starts += run(budget, clock, 15)
    assert most_in_any(window, starts) <= per_window
    assert per_second is None or most_in_any(1.0, starts) <= per_second


@given(
    requests=st.integers(1, 400),
    per_window=st.integers(1, 60),
    window=st.floats(2, 400),
    per_second=st.integers(1, 50),
)
@settings(max_examples=150, deadline=None)
def test_the_budget_is_used_and_the_estimate_is_never_too_long(requests, per_window, window, per_second):
    clock = ManualClock()
    budget = Budget(clock, per_window=per_window, window=window, per_second=per_second)
    predicted = budget.least_seconds_left(requests)
    starts = run(budget, clock, requests)
    took = starts[-1] - starts[0]
    least = least_seconds(requests, per_window, window, per_second)
    assert least - 0.01 <= took
    assert predicted - 0.01 <= took
    if window > 60 and window > 2 * per_window / per_second:
        assert took <= least / 0.98 + 0.1


def exact_least(requests: int, per_window: int, window: float, per_second: int) -> float:
    starts: list[float] = []
    for number in range(requests):
        moment = starts[-1] if starts else 0.0
        if number >= per_window:
            moment = max(moment, starts[number - per_window] + window)
        if number >= per_second:
            moment = max(moment, starts[number - per_second] + 1.0)
        starts.append(moment)
    return starts[-1] if starts else 0.0


@given(st.integers(0, 300), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=150, deadline=None)
def test_least_seconds_is_a_lower_bound_that_can_be_met(requests, per_window, window, per_second):
    exact = exact_least(requests, per_window, float(window), per_second)
    bound = least_seconds(requests, per_window, float(window), per_second)
    assert bound <= exact
    if per_window <= per_second * window:
        assert bound == exact


def test_the_cost_of_a_million_ids():
    assert least_seconds(0) == 0.0
    assert least_seconds(1) == 0.0
    assert least_seconds(200) == 0.0
    assert least_seconds(1200) == 5.0
    assert least_seconds(1201) == 300.0
    assert least_seconds(10_000) == 8 * 300.0 + 1.0
    assert least_seconds(10_000, None) == 49.0
    assert least_seconds(10_000, None, per_second=None) == 0.0
    assert least_seconds(3, 1, 10.0, None) == 20.0


def test_a_full_size_window_is_used_to_the_last_request():
    clock = ManualClock()
    budget = Budget(clock)
    starts = run(budget, clock, 6000)
    assert most_in_any(300.0, starts) == 1200
    assert most_in_any(1.0, starts) == 200
    assert starts[-1] - starts[0] <= least_seconds(6000) / 0.98


def test_requests_of_earlier_processes_count():
    clock = ManualClock()
    budget = Budget(clock, per_window=3, window=300.0, spent=[10.0, 290.0, 1000.0, 100.0])
    assert budget.left() == 0
    assert budget.delay() == pytest.approx(11.0)
    clock.advance(11.0)
    assert budget.left() == 1
    budget.take()
    assert budget.delay() == pytest.approx(190.0)


def test_more_spent_than_is_allowed_now_still_holds_back():
    clock = ManualClock()
    budget = Budget(clock, per_window=2, window=300.0, spent=[float(age) for age in range(100)])
    assert budget.delay() == pytest.approx(300.0)  # the second youngest is 1 s old
    assert budget.left() == 0


def test_a_request_from_the_future_counts_as_one_of_now():
    budget = Budget(ManualClock(), per_window=1, spent=[-50.0])
    assert budget.delay() == pytest.approx(301.0)


def test_starting_against_the_budget_is_a_bug_and_said_so():
    budget = Budget(ManualClock(), per_window=1)
    budget.take()
    with pytest.raises(RuntimeError):
        budget.take()


def test_without_a_limit_only_the_second_counts():
    clock = ManualClock()
    budget = Budget(clock, per_window=None, per_second=None)
    assert budget.left() == UNLIMITED
    assert Dispatcher(clock, budget, concurrency=1).requests_left is None
    run(budget, clock, 5000)
    assert clock.slept == []
    assert budget.delay() == 0.0


@pytest.mark.parametrize("options", [{"per_window": 0}, {"window": 0.0}, {"share": 0.0}, {"share": 1.5}])
def test_a_budget_that_allows_nothing_is_refused(options):
    with pytest.raises(ValueError, match=r"budget|share"):
        Budget(ManualClock(), **options)


def announce(remaining: int, reset: float) -> RateHeaders:
    return RateHeaders((Quota("default", remaining, reset),))


def test_what_the_service_announces_is_kept():
    clock = ManualClock()
    budget = Budget(clock)
    budget.observe(announce(2, 30.0))
    assert budget.left() == 2
    run(budget, clock, 2)
    assert budget.delay() == pytest.approx(30.0)
    assert budget.left() == 0
    clock.advance(30.0)
    assert budget.delay() == 0.0


def test_requests_on_the_way_may_not_have_been_counted_yet():
    budget = Budget(ManualClock())
    budget.in_flight = 8
    budget.observe(announce(10, 30.0))
    assert budget.left() == 3


def test_an_answer_that_was_overtaken_does_not_give_back_what_is_spent():
    budget = Budget(ManualClock())
    budget.observe(announce(5, 30.0))
    budget.observe(announce(9, 30.0))
    assert budget.left() == 5
    budget.observe(announce(1, 10.0))
    assert budget.left() == 1


def test_thousands_of_answers_do_not_slow_the_budget_down():
    clock = ManualClock()
    budget = Budget(clock, per_window=None, per_second=None)
    for number in range(5000):
        budget.take()
        budget.in_flight = 1 + number % 8
        budget.observe(announce(100_000, 30.0))
        clock.advance(0.001)
    assert len(budget._announced) < 10


def test_an_announcement_ends_with_its_window():
    clock = ManualClock()
    budget = Budget(clock)
    budget.observe(announce(0, 10.0))
    budget.observe(announce(5, 60.0))
    clock.advance(10.0)
    assert budget.left() == 5
    budget.observe(announce(0, 0.0))
    budget.observe(RateHeaders())
    assert budget.left() == 5


def test_a_share_leaves_others_their_part():
    clock = ManualClock()
    budget = Budget(clock, share=0.5)
    remaining = 100
    budget.observe(announce(remaining, 300.0))
    used = 0
    while not budget.delay():
        budget.take()
        used += 1
        remaining -= 1
        clock.advance(0.1)
        budget.observe(announce(remaining, 300.0 - 0.1 * used))
    assert used == 50


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 12), st.floats(0, 60)), max_size=25), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_no_announcement_is_ever_exceeded(observations, greed):
    clock = ManualClock()
    budget = Budget(clock, per_window=None, per_second=None)
    starts: list[float] = []
    announced: list[tuple[float, float, int, int]] = []
    for wait, remaining, reset in observations:
        clock.advance(wait)
        for _ in range(greed + 1):
            if budget.delay() == 0.0:
                budget.take()
                starts.append(clock.elapsed())
        budget.observe(announce(remaining, reset))
        announced.append((clock.elapsed(), clock.elapsed() + reset, remaining, len(starts)))
    for _, until, remaining, before in announced:
        assert sum(1 for start in starts[before:] if start < until - 1e-5) <= remaining


def test_after_a_429_nothing_starts_until_it_is_over():
    clock = ManualClock()
    budget = Budget(clock)
    budget.pause(90.0)
    budget.pause(5.0)
    assert budget.delay() == pytest.approx(90.0)
    assert budget.least_seconds_left(1) == pytest.approx(90.0)
    clock.advance(90.0)
    assert budget.delay() == 0.0


def test_what_is_left_to_wait_counts_what_was_spent():
    clock = ManualClock()
    budget = Budget(clock, per_window=10, window=300.0, spent=deque([200.0] * 8))
    assert budget.least_seconds_left(0) == 0.0
    assert budget.least_seconds_left(2) == 0.0
    assert budget.least_seconds_left(3) == pytest.approx(101.0)
    assert budget.least_seconds_left(11) == pytest.approx(301.0)
    assert budget.least_seconds_left(13) == pytest.approx(402.0)

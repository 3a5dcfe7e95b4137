from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import ManualClock
from reconciler.errors import RequestRejected, ServiceFault, Throttled
from reconciler.vectorize import RetryPolicy
from reconciler.vectorize.retry import concerns_the_account


@given(st.integers(1, 10_000), st.integers(0, 1000))
def test_the_wait_is_jittered_below_a_ceiling_that_doubles_up_to_the_cap(attempt, seed):
    wait = RetryPolicy().delay(attempt, ServiceFault("500"), ManualClock(seed=seed))
    assert 0 <= wait <= min(8.0, 0.5 * 2.0 ** min(attempt - 1, 10))


@given(st.floats(0, 90_000), st.integers(1, 5))
def test_what_the_service_asks_for_is_waited_even_above_the_cap(seconds, attempt):
    error = Throttled("429", retry_after=seconds)
    wait = RetryPolicy().delay(attempt, error, ManualClock())
    assert wait >= seconds
    assert seconds < 8.0 or wait == seconds


def test_jitter_spreads_over_the_whole_range():
    clock = ManualClock()
    waits = [RetryPolicy().delay(5, ServiceFault("500"), clock) for _ in range(1000)]
    assert min(waits) < 0.5
    assert max(waits) > 7.5


def test_only_what_passes_is_tried_again_and_not_for_ever():
    policy = RetryPolicy(attempts=3)
    assert policy.retries(2, ServiceFault("500"))
    assert not policy.retries(3, ServiceFault("500"))
    assert not policy.retries(1, RequestRejected("no"))


def test_the_indexs_own_throttle_is_not_the_accounts():
    assert concerns_the_account(Throttled("x", status=429))
    assert concerns_the_account(Throttled("x", code=971, status=400))
    assert not concerns_the_account(Throttled("x", code=40041, status=400))
    assert not concerns_the_account(ServiceFault("x", status=503))

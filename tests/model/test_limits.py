from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.limits import ApiSettings, IndexLimits, Limits


def simulated(requests: int, per_window: int) -> float:
    """When the last of `requests` may start, each as early as the window and the ceiling a second let it."""
    starts: list[float] = []
    for number in range(requests):
        second_free = starts[number - 200] + 1 if number >= 200 else 0.0
        window_free = starts[number - per_window] + 300 if number >= per_window else 0.0
        starts.append(max(second_free, window_free))
    return starts[-1] if starts else 0.0


@given(st.integers(0, 900), st.integers(1, 900))
@settings(max_examples=150, deadline=None)
def test_the_least_time_is_that_of_a_simulation_request_by_request(requests, per_window):
    api = ApiSettings(requests_per_five_minutes=per_window)
    assert api.least_seconds(requests) == pytest.approx(simulated(requests, per_window))


@pytest.mark.parametrize(
    ("requests", "seconds"), [(-1, 0), (0, 0), (1, 0), (201, 1), (1200, 5), (1201, 300), (10_000, 2401)]
)
def test_the_least_time_under_the_budget_of_the_service(requests, seconds):
    assert ApiSettings().least_seconds(requests) == pytest.approx(seconds)


@given(st.integers(1, 5000), st.floats(0.0001, 1))
def test_a_share_never_takes_more_than_its_part_and_never_nothing(budget, share):
    allowed = ApiSettings(requests_per_five_minutes=budget, share=share).requests_per_window
    assert 1 <= allowed <= max(1, budget * share)


def test_an_index_without_limits_of_its_own_has_those_of_the_plan():
    limits = Limits(max_deletes=5, max_percent=7.5, per_index={"big": IndexLimits(50, 75.0)})
    assert limits.of("small") == IndexLimits(5, 7.5)
    assert limits.of("big") == IndexLimits(50, 75.0)
    assert limits.of("big").as_dict() == {"max_deletes": 50, "max_percent": 75.0}

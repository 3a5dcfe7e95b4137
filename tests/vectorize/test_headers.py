from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.vectorize import Quota, RateHeaders
from reconciler.vectorize.headers import retry_after

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "quotas"),
    [
        ('"default";r=50;t=30', [("default", 50, 30.0)]),
        ('"default"; r=50 ; t=30', [("default", 50, 30.0)]),
        ("default;t=30;r=50;x=1", [("default", 50, 30.0)]),
        ('"a";r=1;t=2, "b";r=3;t=4', [("a", 1, 2.0), ("b", 3, 4.0)]),
        ('"a";r=1, "b";r=3;t=4', [("b", 3, 4.0)]),
        ('"a";r=0;t=99999999999', [("a", 0, 3600.0)]),
        ('"a";r=' + "9" * 5000 + ";t=1", [("a", 10**9, 1.0)]),
        ('"default";r=-5;t=30', []),
        ('"default";r=nan;t=30', []),
        (";;;=,=;r;t", []),
        ("\u0665;r=\u0665;t=1", []),
        ("", []),
        (None, []),
    ],
)
def test_ratelimit_headers_are_read_and_garbage_is_ignored(header, quotas):
    assert RateHeaders.parse(header).quotas == tuple(Quota(*quota) for quota in quotas)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("90", 90.0),
        ("300", 300.0),
        (" 1.5 ", 1.5),
        ("99999999", 86_400.0),
        ("Sun, 22 Nov 2026 12:02:00 GMT", 120.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", None),
        ("-1", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("nan", None),
        ("Sun, 99 Nov 2026 12:02:00 GMT", None),
    ],
)
def test_retry_after_is_honoured_above_a_minute_and_garbage_is_ignored(value, seconds):
    assert retry_after(value, None, lambda: NOW) == seconds


def test_a_retry_date_is_measured_on_the_servers_clock_when_it_tells_it():
    date = "Sun, 22 Nov 2026 08:00:00 GMT"
    assert retry_after("Sun, 22 Nov 2026 08:00:30 GMT", date, lambda: NOW) == 30.0

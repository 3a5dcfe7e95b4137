"""How many requests may be made, and when: the account's budget, kept exactly and never above it.

No HTTP here: the planner's estimate and the tests use it alone.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from collections.abc import Iterable

from reconciler.clock import Clock
from reconciler.model.limits import REQUESTS_PER_SECOND, WINDOW_SECONDS
from reconciler.vectorize.headers import RateHeaders

#: Source: the API's documented rate limits; 1,200 requests in 5 minutes a user, 200 a second an address.
REQUESTS_PER_WINDOW = 1200

#: What `Budget.left` returns when no limit applies.
UNLIMITED = sys.maxsize

#: Less than this many seconds is now: sums of floats would otherwise ask to wait for nothing, for ever.
INSTANT = 1e-6


class _Window:
    """At most `limit` starts in any stretch of `seconds`; exact, as it remembers each of the last `limit`."""

    def __init__(self, limit: int, seconds: float) -> None:
        if limit < 1 or seconds <= 0:
            raise ValueError(
                f"a budget needs a limit of at least 1 and a positive window, not {limit} in {seconds} s"
            )
        self._limit = limit
        # The service counts arrivals, not starts. The first request opens a connection and travels longer
        # than the one that comes a window later, so the two arrive closer together than they left.
        self._seconds = seconds + min(1.0, seconds / 200)
        self._starts: deque[float] = deque(maxlen=limit)

    @property
    def pace(self) -> float:
        return self._seconds / self._limit

    def add(self, moment: float) -> None:
        self._starts.append(moment)

    def _forget(self, now: float) -> None:
        """Starts that are a window old say nothing any more; what is left is counted, not gone through."""
        while self._starts and now - self._starts[0] >= self._seconds - INSTANT:
            self._starts.popleft()

    def free_at(self) -> float:
        full = len(self._starts) == self._limit
        return self._starts[0] + self._seconds if full else float("-inf")

    def nth_start(self, number: int, now: float) -> float:
        """When, at the earliest, the start of that number from now (1 = the next) may be."""
        # Each start frees its place a window later: after one round over the places the pattern repeats.
        rounds, place = divmod(number - 1, self._limit)
        free = self._limit - len(self._starts)
        first = now if place < free else max(now, self._starts[place - free] + self._seconds)
        return first + rounds * self._seconds

    def left(self, now: float) -> int:
        self._forget(now)
        return self._limit - len(self._starts)


class Budget:
    """Says when the next request may start. Thread-safe: answers are observed where they arrive.

    In any stretch of `window` seconds, wherever it begins, at most `per_window` requests start; so the
    service's own windows hold too, however it lays them. The stretch is kept 0.5 % (at most 1 s) longer than
    asked, because the service counts when requests arrive and not when they leave.

    Args:
        clock: time.
        per_window: requests in `window` seconds; None = no limit.
        window: seconds.
        per_second: requests in any second; None = no limit.
        spent: ages, in seconds, of requests that earlier processes made on the same account.
        share: the part, in (0, 1], of what the service says remains that this program may use.

    Attributes:
        in_flight: requests started whose answers are not in. The dispatcher keeps it: the service may not have
            counted them yet when it says how many remain.
        started: requests started since this budget was made.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        per_window: int | None = REQUESTS_PER_WINDOW,
        window: float = WINDOW_SECONDS,
        per_second: int | None = REQUESTS_PER_SECOND,
        spent: Iterable[float] = (),
        share: float = 1.0,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"a share is in (0, 1], not {share}")
        self._clock = clock
        self._share = share
        self._lock = threading.Lock()
        self._main = None if per_window is None else _Window(per_window, window)
        self._second = None if per_second is None else _Window(per_second, 1.0)
        self._windows = [each for each in (self._main, self._second) if each is not None]
        self._paused_until = float("-inf")
        self._announced: list[tuple[float, int]] = []
        self.in_flight = 0
        self.started = 0
        now = clock.elapsed()
        for age in sorted((max(0.0, age) for age in spent), reverse=True):
            for each in self._windows:
                each.add(now - age)

    @property
    def seconds_a_request(self) -> float:
        """Seconds between two requests of a pace that can be kept up; 0.0 without a limit."""
        return 0.0 if self._main is None else self._main.pace

    def delay(self) -> float:
        """Seconds until one more request may start; 0.0 = now."""
        with self._lock:
            return self._delay(self._clock.elapsed())

    def take(self) -> None:
        """Records the start of a request.

        Raises:
            RuntimeError: `delay()` is not 0: the caller did not ask.
        """
        with self._lock:
            now = self._clock.elapsed()
            if self._delay(now) > 0:
                raise RuntimeError("a request was started that the budget does not allow")
            self.started += 1
            for each in self._windows:
                each.add(now)
            self._announced = [(until, left - 1) for until, left in self._announced]

    def left(self) -> int:
        """Requests that may still start in the window that ends now; UNLIMITED when nothing limits them."""
        with self._lock:
            now = self._clock.elapsed()
            limits = [left for until, left in self._announced if until - now > INSTANT]
            if self._main is not None:
                limits.append(self._main.left(now))
            return max(0, min(limits, default=UNLIMITED))

    def observe(self, headers: RateHeaders) -> None:
        """Adapts to what an answer announced: others use the account too."""
        if not headers.quotas:
            return
        with self._lock:
            now = self._clock.elapsed()
            on_the_way = max(0, self.in_flight - 1)  # all but the request that was answered
            for quota in headers.quotas:
                left = int(max(0, quota.remaining - on_the_way) * self._share)
                # Up to a whole second: the header's own are rounded, and thousands of answers that end within
                # the same second make one announcement instead of thousands.
                self._announce(now, math.ceil(now + quota.reset - INSTANT), left)

    def least_seconds_left(self, requests: int) -> float:
        """Seconds until the last of `requests` more may have started, at the least, from what was spent so far."""
        if requests <= 0:
            return 0.0
        with self._lock:
            now = self._clock.elapsed()
            moments = [each.nth_start(requests, now) for each in self._windows]
            moments += [until for until, left in self._announced if left < requests]
            return max(0.0, self._paused_until - now, *(moment - now for moment in moments))

    def pause(self, seconds: float) -> None:
        """Nothing starts for `seconds` from now. A shorter pause does not end a longer one."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock.elapsed() + seconds)

    def _announce(self, now: float, until: float, left: int) -> None:
        # Answers overtake each other, so a later one may know less. Every announcement holds until its own
        # end; those that another makes superfluous (as long or longer, as strict or stricter) are dropped.
        live = [each for each in self._announced if each[0] > now]
        if until > now and not any(other >= until and strict <= left for other, strict in live):
            live = [each for each in live if each[0] > until or each[1] < left]
            live.append((until, left))
        self._announced = live

    def _delay(self, now: float) -> float:
        free_at = self._paused_until
        for each in self._windows:
            free_at = max(free_at, each.free_at())
        for until, left in self._announced:
            if left <= 0:
                free_at = max(free_at, until)
        remaining = free_at - now
        return remaining if remaining > INSTANT else 0.0

"""When to try again, and how long to wait before."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.clock import Clock
from reconciler.errors import ServiceError, Throttled

#: Vectorize's own throttle of mutations: it concerns one index, not the account.
INDEX_THROTTLE_CODE = 40041


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter.

    Args:
        attempts: how often a call is made at most, the first time included.
        base: ceiling, in seconds, of the wait after the first attempt; it doubles with each.
        cap: highest ceiling, in seconds. What the service asks for is waited even beyond it.
    """

    attempts: int = 5
    base: float = 0.5
    cap: float = 8.0

    def delay(self, attempt: int, error: ServiceError, clock: Clock) -> float:
        """Seconds to wait after attempt number `attempt` (from 1) failed; never less than `retry_after`."""
        # The exponent is bounded: 2.0 ** 1024 is an error, and the cap is reached long before.
        ceiling = min(self.cap, self.base * 2.0 ** min(attempt - 1, 60))
        return max(clock.jitter(ceiling), error.retry_after or 0.0)

    def retries(self, attempt: int, error: ServiceError) -> bool:
        """True when another attempt may succeed and is allowed."""
        return error.passing and attempt < self.attempts


def concerns_the_account(error: ServiceError) -> bool:
    """True for a throttle that every request of the account would meet (429, 971)."""
    return isinstance(error, Throttled) and error.code != INDEX_THROTTLE_CODE

"""The account budget (1,200 requests in 5 minutes) and the burst limit (200 a second an address)."""

import math
from dataclasses import dataclass, field

from reconciler.emulator.errors import ApiError, rate_limited
from reconciler.emulator.settings import Settings


@dataclass(slots=True)
class _Window:
    start: float
    used: int = 0


@dataclass(slots=True)
class RateLimiter:
    """Counts requests in fixed windows. Not thread-safe: the emulator's lock guards it. Forgotten at a restart."""

    settings: Settings
    _budgets: dict[str, _Window] = field(default_factory=dict)
    _bursts: dict[str, _Window] = field(default_factory=dict)

    def take(self, credential: str, address: str, now: float) -> tuple[dict[str, str], ApiError | None]:
        """Count one request.

        Returns:
            The `Ratelimit` headers of its answer (empty without a budget), and the refusal if it came too
            much: 429, code 971, `retry-after` in whole seconds until the window ends. Refused requests count
            too.
        """
        headers: dict[str, str] = {}
        refusal: ApiError | None = None
        if self.settings.burst is not None:
            window = _current(self._bursts, address, now, 1.0)
            if window.used > self.settings.burst:
                refusal = rate_limited(1)
        if self.settings.budget is not None:
            length, budget = self.settings.window, self.settings.budget
            window = _current(self._budgets, credential, now, length)
            seconds = max(1, math.ceil(window.start + length - now))
            headers = {
                "Ratelimit": f'"default";r={max(0, budget - window.used)};t={seconds}',
                "Ratelimit-Policy": f'"default";q={budget};w={math.ceil(length)}',
            }
            if window.used > budget:
                refusal = rate_limited(seconds)
        return headers, refusal

    def reset(self) -> None:
        """Forget every count."""
        self._budgets.clear()
        self._bursts.clear()


def _current(windows: dict[str, _Window], key: str, now: float, length: float) -> _Window:
    window = windows.get(key)
    # A clock that went backwards opens a new window too: better generous than locked out for ever.
    if window is None or not window.start <= now < window.start + length:
        window = windows[key] = _Window(now)
    window.used += 1
    return window

"""What the response headers say about rates: `Ratelimit` and `Retry-After`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: A reset further away than this is not believed (the service's windows last 5 minutes at most).
LONGEST_RESET = 3600.0

#: A wait longer than a day is cut to one: by then a request tells more than the old header.
LONGEST_RETRY_AFTER = 86_400.0

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Quota:
    """One rate limit: `remaining` requests may be made in the next `reset` seconds."""

    name: str
    remaining: int
    reset: float


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """What one answer says about rates; no quotas when it says nothing that can be read."""

    quotas: tuple[Quota, ...] = ()

    @classmethod
    def parse(cls, ratelimit: str | None) -> RateHeaders:
        """Reads `"default";r=50;t=30`, or several of these with commas between. The unreadable is left out."""
        if not ratelimit:
            return _NOTHING
        return cls(tuple(quota for item in ratelimit.split(",") if (quota := _quota(item)) is not None))


_NOTHING = RateHeaders()


def _quota(item: str) -> Quota | None:
    name, *pairs = (part.strip() for part in item.split(";"))
    values = dict(pair.replace(" ", "").lower().split("=", 1) for pair in pairs if "=" in pair)
    remaining, reset = values.get("r", ""), values.get("t", "")
    if not (_NUMBER.fullmatch(remaining) and _NUMBER.fullmatch(reset)):
        return None
    # min() first: int() of a number with thousands of digits is an error of its own.
    return Quota(name.strip('"'), int(min(float(remaining), 1e9)), min(float(reset), LONGEST_RESET))


def retry_after(value: str | None, date: str | None, now: Callable[[], datetime]) -> float | None:
    """Seconds that `Retry-After` asks for; None when it is absent, negative or cannot be read.

    Args:
        value: the header: seconds, or an HTTP date.
        date: the answer's `Date`. A date is measured against the server's own clock where it told it.
        now: this machine's wall clock, asked only when the server did not tell.
    """
    text = (value or "").strip()
    if _NUMBER.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER)
    moment = _http_date(text)
    if moment is None:
        return None
    seconds = (moment - (_http_date((date or "").strip()) or now())).total_seconds()
    return min(seconds, LONGEST_RETRY_AFTER) if seconds >= 0 and math.isfinite(seconds) else None


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

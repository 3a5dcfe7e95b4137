"""How much one plan may delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: The service counts requests in windows of five minutes, and per address in seconds.
WINDOW_SECONDS = 300.0
REQUESTS_PER_SECOND = 200

#: Below this many live vectors a percentage says nothing, and is not checked.
PERCENT_FLOOR = 100


@dataclass(frozen=True, slots=True)
class IndexLimits:
    """Limits of one index. `max_deletes` in ids sent, `max_percent` in percent of the live vectors."""

    max_deletes: int = 10_000
    max_percent: float = 30.0

    def as_dict(self) -> dict[str, float]:
        """As it stands in plans and in the state."""
        return {"max_deletes": self.max_deletes, "max_percent": self.max_percent}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a plan, as configured.

    Attributes:
        max_deletes: ids that may be sent, for the whole plan and for each index without a limit of its own.
        max_percent: see IndexLimits.
        require_reason: a declaration without a reason is an error.
        allowed_indexes: names of the indexes that manifests may name; None = any.
        per_index: limits of single indexes, by name.
    """

    max_deletes: int = 10_000
    max_percent: float = 30.0
    require_reason: bool = False
    allowed_indexes: tuple[str, ...] | None = None
    per_index: Mapping[str, IndexLimits] = field(default_factory=dict)

    def of(self, index: str) -> IndexLimits:
        """The limits in force for `index`."""
        return self.per_index.get(index, IndexLimits(self.max_deletes, self.max_percent))


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How requests are made.

    Attributes:
        batch_size: ids in one delete request; the service takes at most 100.
        concurrency: delete requests in flight at once.
        requests_per_five_minutes: the budget of the account token; the service allows 1,200.
        share: the part of the budget this program may use, in (0, 1].
    """

    batch_size: int = 100
    concurrency: int = 8
    requests_per_five_minutes: int = 1200
    share: float = 1.0

    @property
    def requests_per_window(self) -> int:
        """Requests this program may make in 5 minutes; at least 1."""
        return max(1, int(self.requests_per_five_minutes * self.share))

    def least_seconds(self, requests: int) -> float:
        """The least time `requests` take from a fresh budget: what is beyond each full window waits for the next.

        The window is 5 minutes (the service's); inside one, 200 requests a second (its ceiling per address).
        """
        if requests <= 0:
            return 0.0
        full, rest = divmod(requests - 1, self.requests_per_window)
        return full * WINDOW_SECONDS + rest / REQUESTS_PER_SECOND

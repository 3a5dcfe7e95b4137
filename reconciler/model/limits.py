"""How much one plan may delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

#: The service counts requests in windows of five minutes, and per address in seconds.
WINDOW_SECONDS = 300.0
REQUESTS_PER_SECOND = 200

#: The client's time-outs: of waiting for a connection of the pool, connecting and TLS each; of writing,
#: waiting for the answer and reading it each.
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0

#: The longest that one request takes, from its start to the end of its answer.
REQUEST_SECONDS = 3 * CONNECT_SECONDS + 3 * ANSWER_SECONDS

#: Ids in one get_by_ids request (measured), vectors on a page of a list (documented): the service gives no more.
GET_BY_IDS_MAXIMUM = 20
LIST_PAGE_MAXIMUM = 1000

#: Ids proven at once by get_by_ids: an outage in a proof of hours loses no more than what came of these. After
#: each such slice `created_on` is read again.
SLICE_IDS = 2000

#: When the pointer of an index is looked at: seconds before the first look, growth, and the longest pause.
FIRST_POLL_SECONDS = 0.3
POLL_GROWTH = 1.5
LONGEST_POLL_SECONDS = 10.0

#: The service's own figure: half of all mutations are applied within this many seconds.
MEDIAN_LAG_SECONDS = 30.0

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


@dataclass(frozen=True)
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
        return self.per_index.get(index, self._of_others)

    @cached_property
    def _of_others(self) -> IndexLimits:
        return IndexLimits(self.max_deletes, self.max_percent)


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
        """The least time that `requests` take under this budget; see the function of the same name."""
        return least_seconds(requests, self.requests_per_window)


def polls_within(seconds: float) -> int:
    """Looks at the pointer of one index until a mutation is applied that takes `seconds`."""
    count, moment, pause = 1, FIRST_POLL_SECONDS, FIRST_POLL_SECONDS
    while moment < seconds:
        moment, pause = moment + pause, min(LONGEST_POLL_SECONDS, pause * POLL_GROWTH)
        count += 1
    return count


def least_seconds(
    requests: int,
    per_window: int | None = 1200,
    window: float = WINDOW_SECONDS,
    per_second: int | None = REQUESTS_PER_SECOND,
) -> float:
    """Seconds from the first start to the last when `requests` are made under a fresh budget.

    A lower bound: answers that take their time, and other users of the account, come on top. None as a limit means
    that there is none.
    """
    if requests <= 0:
        return 0.0
    earlier = requests - 1
    paced = earlier // per_second if per_second else 0
    if not per_window:
        return float(paced)
    windows, rest = divmod(earlier, per_window)
    return float(max(windows * window + (rest // per_second if per_second else 0), paced))

"""What is to be sent, target by target: lanes of ids from which full batches are formed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from reconciler.errors import PlanRefused, ReconcilerError, ServiceError
from reconciler.model.idset import IdSet
from reconciler.model.partition import partition
from reconciler.model.target import Target
from reconciler.state.events import Intent


@dataclass(frozen=True)
class TargetWork:
    """What to send to one target.

    Attributes:
        number: of the target in the log.
        groups: (numbers of declarations, ids): everything to send, in the order in which it is sent.
    """

    number: int
    target: Target
    groups: tuple[tuple[tuple[int, ...], IdSet], ...]

    @property
    def ids(self) -> int:
        """How many ids there are to send."""
        return sum(len(ids) for _, ids in self.groups)


@dataclass
class TargetResult:
    """What came of it. `unknown` and `rejected` count ids; `error` is the first final failure."""

    accepted: int = 0
    batches: int = 0
    rejected: int = 0
    unknown: int = 0
    error: ServiceError | None = None


@dataclass
class SendResult:
    """What came of all targets. `fatal`: an error that ended the sending for all of them."""

    by_target: dict[Target, TargetResult] = field(default_factory=dict)
    fatal: ReconcilerError | None = None


@dataclass(frozen=True)
class Batch:
    """At most a batch size of ids. `runs`: (numbers of declarations, how many of `ids` they account for)."""

    number: int
    lane: Lane
    runs: tuple[tuple[tuple[int, ...], int], ...]
    ids: tuple[str, ...]

    def intent(self) -> Intent:
        """What is recorded before it is sent."""
        runs = [[list(numbers), count] for numbers, count in self.runs]
        return Intent(batch=self.number, target=self.lane.work.number, declarations=runs, ids=self.ids)


class Lane:
    """One target on its way: what is left to form, and how many batches wait for an outcome."""

    def __init__(self, work: TargetWork) -> None:
        self.work = work
        self.result = TargetResult()
        self.left = work.ids
        self.open = 0
        self._pieces: deque[tuple[tuple[int, ...], Iterator[str], int]] = deque(
            (numbers, iter(ids), len(ids)) for numbers, ids in work.groups
        )

    @property
    def finished(self) -> bool:
        """True when no batch will be formed any more."""
        return self.result.error is not None or not (self.left or self.open)

    def may_form(self, size: int) -> bool:
        """True when a batch may be formed now: the last one waits until nothing else is open."""
        if not self.left or self.result.error is not None:
            return False
        return self.left > size or not self.open

    def form(self, size: int) -> tuple[tuple[tuple[tuple[int, ...], int], ...], tuple[str, ...]]:
        """The next at most `size` ids, with the declarations they come from."""
        runs: list[tuple[tuple[int, ...], int]] = []
        ids: list[str] = []
        while self._pieces and len(ids) < size:
            numbers, rest, length = self._pieces.popleft()
            take = min(length, size - len(ids))
            ids += islice(rest, take)
            runs.append((numbers, take))
            if take < length:
                self._pieces.appendleft((numbers, rest, length - take))
        self.left -= len(ids)
        return tuple(runs), tuple(ids)

    def put_back(self, batch: Batch) -> None:
        """Form the ids of `batch` again, in smaller batches: the service refused it whole."""
        start = 0
        pieces = []
        for numbers, count in batch.runs:
            pieces.append((numbers, iter(batch.ids[start : start + count]), count))
            start += count
        self._pieces.extendleft(reversed(pieces))
        self.left += len(batch.ids)


def work_for(
    number: int,
    target: Target,
    ids: IdSet,
    declared: Mapping[int, IdSet],
    kept: IdSet,
) -> TargetWork:
    """What to send to a target, checked against the manifests as they are now.

    Args:
        number: of the target in the log.
        ids: the ids that the plan sends.
        declared: the ids of each declaration, by its number in the log.
        kept: those of `ids` that a keep protects.

    Raises:
        PlanRefused: an id is declared nowhere, or is kept. Nothing of the plan may be sent then.
    """
    if kept:
        raise PlanRefused(
            f"{target}: {len(kept):,} ids of the plan are protected by a keep, the first is {kept.first(1)[0]!r}",
            hint="Nothing was sent. Plan again.",
        )
    numbers = tuple(declared)
    groups = []
    for members, part in partition(ids, [declared[n] for n in numbers]):
        if not members:
            raise PlanRefused(
                f"{target}: {len(part):,} ids of the plan are declared in no manifest, "
                f"the first is {part.first(1)[0]!r}",
                hint="Nothing was sent. A plan file is not trusted: plan again from the manifests.",
            )
        groups.append((tuple(numbers[m] for m in members), part))
    return TargetWork(number, target, tuple(groups))

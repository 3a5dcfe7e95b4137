"""One target on its way to verified: what it waits for, and what is known at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from itertools import chain, compress

from reconciler.clock import Clock
from reconciler.errors import ServiceError
from reconciler.model.idset import IdSet
from reconciler.model.limits import FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS, POLL_GROWTH
from reconciler.model.target import Target
from reconciler.model.tombstones import BatchRecord, PrefixPromise, Status, TargetRecord
from reconciler.observer import seconds_since
from reconciler.state.naming import Own

#: From the service's known latency (median under 30 s, p99 under 2 min): after this it should have been applied.
PROCESSING_SECONDS = 120.0

#: (numbers of declarations, ids)
Groups = tuple[tuple[tuple[int, ...], IdSet], ...]


@dataclass
class TargetSettlement:
    """What is known of one target at the end. All counts are ids.

    Attributes:
        verified: found missing now.
        pending: not found missing: accepted or processed, or to be read again and not read.
        reappeared: found present that should be gone.
        error: why it could not be settled.
    """

    verified: int = 0
    pending: int = 0
    reappeared: IdSet = field(default_factory=IdSet)
    error: ServiceError | None = None


@dataclass
class Settlement:
    """What is known at the end.

    Attributes:
        by_target: one each.
        fatal: an error that ended it for all targets.
        requests: made since the last frame that counted them.
    """

    by_target: dict[Target, TargetSettlement] = field(default_factory=dict)
    fatal: ServiceError | None = None
    requests: int = 0

    @property
    def errors(self) -> tuple[ServiceError, ...]:
        """Everything that kept a target from its end."""
        found = [self.fatal, *(each.error for each in self.by_target.values())]
        return tuple(each for each in found if each is not None)

    @property
    def verified(self) -> int:
        """Ids found missing."""
        return sum(each.verified for each in self.by_target.values())

    @property
    def pending(self) -> int:
        """Ids not verified."""
        return sum(each.pending for each in self.by_target.values())

    @property
    def reappeared(self) -> int:
        """Ids found present."""
        return sum(len(each.reappeared) for each in self.by_target.values())


@dataclass(frozen=True)
class Audit:
    """What an audit reads beside what was verified or had reappeared, by the number of the target.

    Attributes:
        released: released ids that are still audited.
        promises: prefixes that match nothing.
    """

    released: Mapping[int, IdSet] = field(default_factory=dict)
    promises: Mapping[int, Sequence[PrefixPromise]] = field(default_factory=dict)


def processed_by(pointer: str | None, batches: Sequence[BatchRecord]) -> Iterator[BatchRecord]:
    """The accepted batches that `pointer` proves processed (rule 1), one by one: there may be very many.

    Args:
        pointer: the newest processed mutation the service names; None before the first.
        batches: of one target, in order of the log, whatever their status.
    """
    named = [batch.intent for batch in batches if pointer and batch.mutation_id == pointer]
    intent = min(named, default=0)
    for batch in batches if named else ():
        before = batch.accepted is not None and batch.accepted < intent
        if batch.status == Status.ACCEPTED and (batch.mutation_id == pointer or before):
            yield batch


class Phase(Enum):
    """What a case does next."""

    POLLING = auto()
    READING = auto()
    DONE = auto()


class Case:
    """One target on its way to verified.

    Args:
        record: as the log has it now.
        absent: found absent and not sent; to be proven with the rest.
        audit: verified or reappeared before; to be read again with the rest.
        run: the run that is under way.
        promises: prefixes that match nothing, to be checked with the rest.
    """

    def __init__(
        self,
        record: TargetRecord,
        absent: Groups,
        audit: IdSet,
        clock: Clock,
        run: str,
        *,
        promises: Sequence[PrefixPromise] = (),
    ) -> None:
        self.record = record
        self.target = record.target
        self.absent = absent
        self.audit = audit
        self.promises = promises
        self.result = TargetSettlement()
        self.numbers = [
            batch.number for batch in self._pending()
        ]  # of its batches; records are made when asked for
        accepted = [batch.status == Status.ACCEPTED for batch in self._pending()]
        self.waiting = set(compress(self.numbers, accepted))
        self.ids = record.ids(Status.ACCEPTED, Status.PROCESSED)
        self.late = IdSet()  # present at the last read
        self.late_at = float("-inf")  # when the last read that asked for all of them began
        self.pointer_seen = True
        self.live_count: int | None = None
        self.interval = FIRST_POLL_SECONDS
        self.due = clock.elapsed() + (FIRST_POLL_SECONDS if self.waiting else 0.0)
        self.phase = Phase.POLLING if self.waiting else Phase.READING
        self.processed_at = clock.elapsed()
        self.unread = IdSet.union([self.ids, self.absent_ids, self.audit])
        # The wall clock may step at any time. Of what this run sent the age is counted from now, which is after
        # the last acceptance. Of what an earlier process sent the times in the log are all there is; one in the
        # future is no age.
        now = clock.now()
        if self.waiting:
            waiting = (batch for batch in self._pending() if batch.status == Status.ACCEPTED)
            age = min(0.0 if b.run == run else seconds_since(b.accepted_at, now) for b in waiting)
            self.fallback = clock.elapsed() + max(0.0, PROCESSING_SECONDS - max(0.0, age))
        else:
            ages = (seconds_since(b.processed_at or b.settled_at, now) for b in self._processed())
            self.processed_at -= max(0.0, min(ages, default=0.0))
            self.fallback = clock.elapsed()

    def _pending(self) -> Iterator[BatchRecord]:
        """The batches that wait or were processed."""
        return (batch for batch in self.record.batches if batch.status in (Status.ACCEPTED, Status.PROCESSED))

    def _processed(self) -> Iterator[BatchRecord]:
        """The batches that the pending ids came with; some may be verified but for those ids."""
        stragglers = self.ids - self.batch_ids
        verified = (b for b in self.record.batches if b.status == Status.VERIFIED) if stragglers else iter(())
        return chain(self._pending(), (b for b in verified if not b.ids.isdisjoint(stragglers)))

    @property
    def unproven(self) -> int:
        """How many ids were not found missing, for whatever reason."""
        return len(self.asked)

    @cached_property
    def batch_ids(self) -> IdSet:
        """Every id of the batches that wait or were processed."""
        return IdSet.union(batch.ids for batch in self._pending())

    @cached_property
    def own(self) -> Own:
        """The ids of each batch that no later one names."""
        return Own(self.record)

    @cached_property
    def absent_ids(self) -> IdSet:
        """What was found absent before, and not sent."""
        return IdSet.union(ids for _, ids in self.absent)

    @property
    def asked(self) -> IdSet:
        """What the next read asks for."""
        return self.unread | self.late

    def slices(self, ids: IdSet, size: int) -> Iterator[IdSet]:
        """`ids` in disjoint sets of about `size`; those of a batch together, so that its number records them."""
        taken: list[IdSet] = []
        portion: list[IdSet] = []
        count = 0
        for _, own in self.own:
            portion.append(own & ids)
            count += len(portion[-1])
            if count >= size:
                taken.append(IdSet.union(portion))
                yield taken[-1]
                portion, count = [], 0
        if count:
            taken.append(IdSet.union(portion))
            yield taken[-1]
        for chunk in (ids - IdSet.union(taken)).chunks(size):
            yield IdSet.of(chunk)

    def broken(self, others: IdSet) -> Iterator[tuple[PrefixPromise, IdSet]]:
        """Of `others`, listed and never sent, those that begin with a promised prefix; each once."""
        unknown = others - self.record.ids(*Status)
        for promise in self.promises:
            found = promise.broken_by(unknown)
            unknown -= found
            if found:
                yield promise, found

    def wait_longer(self, clock: Clock, least: float = 0.0) -> None:
        """Not before `least` seconds, and a little longer each time."""
        self.due = clock.elapsed() + max(self.interval, least)
        self.interval = min(self.interval * POLL_GROWTH, LONGEST_POLL_SECONDS)

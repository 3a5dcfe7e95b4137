"""What is live, at the fewest requests.

Two ways to know which of N ids are present: `get_by_ids` costs ceil(N / 20) requests, a complete `list` one for
each 1,000 vectors of the index. The cheaper one is taken. A list is one snapshot: when its cursor expires it
starts again once, and two snapshots are never joined (see lists). Memory is bounded by the ids in question.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from math import ceil

from reconciler.clock import Clock, parse_timestamp
from reconciler.errors import IndexNotFound, RequestRejected, ServiceError, ServiceFault
from reconciler.model.desired import Desired
from reconciler.model.idset import IdSet
from reconciler.model.limits import GET_BY_IDS_MAXIMUM, LIST_PAGE_MAXIMUM, SLICE_IDS
from reconciler.model.notices import Sink, ignore
from reconciler.model.observation import Observation, Presence, TargetObservation
from reconciler.model.target import Target
from reconciler.model.tombstones import Projection
from reconciler.observer.calls import Calls
from reconciler.observer.lists import Lists, NoList
from reconciler.vectorize import Client, CursorExpired, Dispatcher


class IndexRecreated(RequestRejected):
    """The index's `created_on` is not the one it was pinned to: it is another index now."""


@dataclass(frozen=True)
class Reading:
    """One answer to "which of these ids are there".

    Attributes:
        asked: these ids.
        present: those that are.
        how: "get_by_ids" or "list".
        note: why a list was not taken although it would have been cheaper; "" otherwise.
        vectors: in the index, where a list has counted them.
        others: not asked for, but listed, and beginning with a prefix that was.
    """

    asked: IdSet
    present: IdSet
    how: str
    note: str = ""
    vectors: int | None = None
    others: IdSet = field(default_factory=IdSet)


@dataclass
class _Pace:
    """How far the reads by get_by_ids of one proof are."""

    began: float
    requests: int
    answered: int = 0


class Observer:
    """Reads indexes.

    Args:
        tick: called every few seconds while something is read, so that a long read can renew a lease.
        notify: told each attempt that failed and is made again.
    """

    def __init__(
        self,
        client: Client,
        dispatcher: Dispatcher,
        clock: Clock,
        *,
        tick: Callable[[], None] = lambda: None,
        notify: Sink = ignore,
    ) -> None:
        self._client = client
        self._dispatcher = dispatcher
        self._clock = clock
        self._calls = Calls(dispatcher, tick=tick, notify=notify)
        self._lists = Lists(client, self._calls, clock)
        self._pace: _Pace | None = None

    def attend(self, tick: Callable[[], None], notify: Sink) -> None:
        """From now on `tick` is called every few seconds of a read, and `notify` told what is tried again."""
        self._calls.tick, self._calls.notify = tick, notify

    def created_on(self, target: Target) -> str:
        """The index's `created_on`, as the service gives it.

        Raises:
            IndexNotFound: the service does not know the index.
            ServiceError: it could not be read.
        """
        return self._calls.one(target, lambda: self._client.index(target)).created_on

    def created_on_each(self, targets: Iterable[Target]) -> Iterator[tuple[Target, str | ServiceError]]:
        """As `created_on` of many indexes, some at once, as the answers arrive. An error of one is its answer."""
        for target, found in self._calls.each((each, partial(self._client.index, each)) for each in targets):
            yield target, found if isinstance(found, ServiceError) else found.created_on

    def pointer(self, target: Target) -> tuple[str | None, int]:
        """The newest processed mutation, and the vector count (which lags: for choosing, never for proof).

        Raises:
            ServiceError: it could not be read.
        """
        info = self._calls.one(target, lambda: self._client.info(target))
        return info.processed_up_to_mutation, info.vector_count

    def prove(
        self,
        target: Target,
        ids: IdSet,
        *,
        pin: str | None,
        live_count: int | None = None,
        slices: Callable[[IdSet, int], Iterable[IdSet]] | None = None,
        prefixes: Collection[str] = (),
    ) -> Iterator[Reading]:
        """Which of `ids` are present, on an index whose `created_on` is `pin` before and after.

        One reading by a complete list; otherwise one of each slice, to be recorded before the next is read.
        Each is proven when it comes, whatever becomes of those after it.

        Args:
            pin: None when the index was never seen before; then it is only compared with itself.
            live_count: vectors in the index, when somebody knows it already.
            slices: cuts ids into disjoint sets of about a number of ids; None = in their order.
            prefixes: only a complete list tells what begins with them, so one is taken, whatever it costs.

        Raises:
            IndexRecreated: `created_on` is another one before or after a read: nothing may be concluded of it.
            ServiceError: it could not be read: nothing may be concluded.
        """
        pin = self._same_index(target, pin)
        listed, note, _ = self._listed(target, ids, live_count, prefixes)
        if listed is not None:
            self._same_index(target, pin)
            yield Reading(ids, listed & ids, "list", others=listed - ids)
            return
        self._pace = _Pace(self._clock.elapsed(), _by_ids(len(ids)))
        try:
            for each in (ids,) if len(ids) <= SLICE_IDS else (slices or _in_order)(ids, SLICE_IDS):
                present = self._get_by_ids(target, each)
                self._same_index(target, pin)  # after this slice, and before the next
                yield Reading(each, present, "get_by_ids", note)
                note = ""
        finally:
            self._pace = None

    @property
    def seconds_left(self) -> float | None:
        """Until the proof by get_by_ids that is under way ends, by its pace and the budget; None when unknown."""
        pace = self._pace
        if pace is None or pace.answered < 2 * self._dispatcher.concurrency:
            return None  # the first answers come together, and tell of no pace
        left = max(0, pace.requests - pace.answered)
        seconds = (self._clock.elapsed() - pace.began) / pace.answered
        return max(left * seconds, self._dispatcher.budget.least_seconds_left(left))

    def _same_index(self, target: Target, pin: str | None) -> str:
        created_on = self.created_on(target)
        if pin is not None and created_on != pin:
            raise IndexRecreated(
                f"{target}: the index was created on {created_on}, the state knows the one of {pin}",
                hint="Run plan --refresh: what was verified absent belongs to the index that is gone.",
            )
        return created_on

    def read(self, target: Target, ids: IdSet, *, live_count: int | None = None) -> Reading:
        """Which of `ids` are present, the cheaper way.

        Raises:
            ServiceError: it could not be read.
        """
        listed, note, vectors = self._listed(target, ids, live_count)
        if listed is not None:
            return Reading(ids, listed, "list", vectors=vectors)
        return Reading(ids, self._get_by_ids(target, ids), "get_by_ids", note, vectors)

    def _listed(
        self, target: Target, ids: IdSet, live_count: int | None, prefixes: Collection[str] = ()
    ) -> tuple[IdSet | None, str, int | None]:
        """What a complete list names of `ids`, or begins with `prefixes`; why there is none; its count.

        None where there is no list, or asking by name is cheaper. Only a list tells what begins with a prefix.
        """
        by_ids = _by_ids(len(ids))
        dear = live_count is not None and ceil(live_count / LIST_PAGE_MAXIMUM) >= by_ids
        if not prefixes and (by_ids <= 1 or dear):
            return None, "", None
        affordable = None if prefixes else by_ids
        try:
            listed, vectors = self._lists.complete(target, _keeping(ids, prefixes), affordable=affordable)
        except (NoList, RequestRejected) as problem:  # an expired cursor, too: naming the ids is as good a proof
            unchecked = "; what begins with a declared prefix was not looked for" if prefixes else ""
            return None, f"{problem}{unchecked}", None
        return listed, "", vectors

    def _get_by_ids(self, target: Target, ids: IdSet) -> IdSet:
        """Every id asked for by name: at most 20 a request, several requests at once."""
        chunks = ids.chunks(GET_BY_IDS_MAXIMUM)
        found: list[str] = []
        for answer in self._calls.several(
            target, (partial(self._client.get_by_ids, target, chunk) for chunk in chunks)
        ):
            found += answer
            if self._pace is not None:
                self._pace.answered += 1
        return IdSet.of(found)

    def observe(
        self, desired: Desired, projection: Projection, *, only: str | None = None, prefixes_only: bool = False
    ) -> Observation:
        """Look at the declared targets: presence, and which declared ids are there.

        Args:
            only: the name of the one index to look at; None = all.
            prefixes_only: leave out the targets that declare no prefix.

        Raises:
            ServiceError: something could not be read (a missing index is a value, not an error).
        """
        targets = {
            each.target
            for each in desired.targets
            if only in (None, each.target.index) and (each.prefixes or not prefixes_only)
        }
        return Observation({target: self._look(target, desired, projection) for target in sorted(targets)})

    def _look(self, target: Target, desired: Desired, projection: Projection) -> TargetObservation:
        declared = desired.of(target)
        prefixes = tuple(dict.fromkeys(prefix.text for prefix in declared.prefixes))
        record = projection.live(target)
        pin = None if record is None else record.created_on
        before = self._dispatcher.budget.started
        try:
            created_on = self.created_on(target)
            asked = declared.ids
            matches: dict[str, IdSet] = {}
            if prefixes:
                matched, live = self._matching(target, asked, prefixes)
                matches = {prefix: matched.starting_with(prefix) for prefix in prefixes}
                present, how = matched & asked, "list"
                asked = IdSet.union([asked, *matches.values()])
                present = IdSet.union([present, *matches.values()])
            else:
                reading = self.read(target, asked) if asked else Reading(asked, IdSet(), "")
                present, how = reading.present, reading.how
                # What a list has counted need not be asked for again.
                live = self.pointer(target)[1] if reading.vectors is None else reading.vectors
            after = self.created_on(target)
        except IndexNotFound:
            return TargetObservation(target, Presence.MISSING, requests=self._dispatcher.budget.started - before)
        if after != created_on:
            raise IndexRecreated(f"{target}: the index was re-created while it was read", hint="Run it again.")
        return TargetObservation(
            target=target,
            presence=Presence.FOUND if pin in (None, created_on) else Presence.RECREATED,
            created_on=created_on,
            asked=asked,
            present=present,
            live_count=live,
            how=how,
            matches=matches,
            requests=self._dispatcher.budget.started - before,
        )

    def _matching(self, target: Target, ids: IdSet, prefixes: Collection[str]) -> tuple[IdSet, int]:
        """Ids of a complete list that are in `ids` or begin with one of `prefixes`, and the vector count."""
        try:
            listed = self._lists.complete(target, _keeping(ids, prefixes), affordable=None)
        except (NoList, CursorExpired) as problem:
            raise ServiceFault(f"prefixes cannot be resolved: {problem}") from None
        matched, vectors = listed
        if matched is None:
            raise AssertionError("a list without an alternative is never too dear")
        return matched, vectors


def _keeping(ids: IdSet, prefixes: Collection[str]) -> Callable[[IdSet], IdSet]:
    """Reduces a page of a list to what is in `ids` or begins with one of `prefixes`."""
    if not prefixes:
        return lambda page: ids & page
    return lambda page: IdSet.union([page & ids, *(page.starting_with(prefix) for prefix in prefixes)])


def _by_ids(count: int) -> int:
    """Requests that asking for `count` ids by name takes."""
    return ceil(count / GET_BY_IDS_MAXIMUM)


def _in_order(ids: IdSet, size: int) -> Iterator[IdSet]:
    return (IdSet.of(chunk) for chunk in ids.chunks(size))


def seconds_since(moment: str | None, now: datetime) -> float:
    """Seconds from an RFC 3339 `moment` to `now`; infinite when it is not known."""
    return float("inf") if not moment else (now - parse_timestamp(moment)).total_seconds()

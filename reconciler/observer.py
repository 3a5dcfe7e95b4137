"""What is live, at the fewest requests.

Two ways to know which of N ids are present: `get_by_ids` costs ceil(N / 20) requests, a complete `list` one for
each 1,000 vectors of the index. The cheaper one is taken. A list is one snapshot: when its cursor expires it
starts again once, and two snapshots are never joined; a list that does not name as many different ids as its first
page counts is none. Memory is bounded by the ids in question, and by 8 bytes for each vector that is listed.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import ceil
from typing import TypeVar

from reconciler.clock import Clock, parse_timestamp
from reconciler.errors import IndexNotFound, Interrupted, RequestRejected, ServiceFault
from reconciler.model.desired import Desired
from reconciler.model.idset import IdSet, IdSetBuilder
from reconciler.model.notices import ReadFailed, Sink, ignore
from reconciler.model.observation import Observation, Presence, TargetObservation
from reconciler.model.target import Target
from reconciler.model.tombstones import Projection
from reconciler.vectorize import (
    GET_BY_IDS_MAXIMUM,
    LIST_PAGE_MAXIMUM,
    Client,
    CursorExpired,
    Dispatcher,
    Outcome,
    Page,
)

R = TypeVar("R")

#: Ids proven at once by get_by_ids: an outage in a proof of hours loses no more than what came of these.
SLICE_IDS = 2000

#: Seconds after which a read that waits for its turn lets its owner renew a lease.
_BEAT = 5.0


class IndexRecreated(RequestRejected):
    """The index's `created_on` is not the one it was pinned to: it is another index now."""


class _NoList(Exception):
    """A complete list cannot be had."""


@dataclass(frozen=True)
class Reading:
    """One answer to "which of these ids are there".

    Attributes:
        asked: these ids.
        present: those that are.
        how: "get_by_ids" or "list".
        note: why a list was not taken although it would have been cheaper; "" otherwise.
    """

    asked: IdSet
    present: IdSet
    how: str
    note: str = ""


class _Hashes:
    """Tells whether ids came twice: a list is long, so of each only its hash is kept, in 8 bytes.

    Equal ids have equal hashes, so none that came twice passes. That two others have the same is next to
    impossible, and would only cost the list.
    """

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(256)]

    def extend(self, ids: Iterable[str]) -> None:
        for each in ids:
            number = hash(each)
            self._parts[number & 255].append(number)

    def repeated(self) -> bool:
        return any(len(set(part)) < len(part) for part in self._parts)


@dataclass
class _Pace:
    """How far the reads by get_by_ids of one proof are."""

    began: float
    requests: int
    answered: int = 0


class Observer:
    """Reads indexes.

    Attributes:
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
        self._pace: _Pace | None = None
        self.tick = tick
        self.notify = notify

    def created_on(self, target: Target) -> str:
        """The index's `created_on`, as the service gives it.

        Raises:
            IndexNotFound: the service does not know the index.
            ServiceError: it could not be read.
        """
        return self._call(target, lambda: self._client.index(target)).created_on

    def pointer(self, target: Target) -> tuple[str | None, int]:
        """The newest processed mutation, and the vector count (which lags: for choosing, never for proof).

        Raises:
            ServiceError: it could not be read.
        """
        info = self._call(target, lambda: self._client.info(target))
        return info.processed_up_to_mutation, info.vector_count

    def prove(
        self,
        target: Target,
        ids: IdSet,
        *,
        pin: str | None,
        live_count: int | None = None,
        slices: Callable[[IdSet, int], Iterable[IdSet]] | None = None,
    ) -> Iterator[Reading]:
        """Which of `ids` are present, on an index whose `created_on` is `pin` before and after.

        One reading by a complete list; otherwise one of each slice, to be recorded before the next is read.
        Each is proven when it comes, whatever becomes of those after it.

        Args:
            pin: None when the index was never seen before; then it is only compared with itself.
            live_count: vectors in the index, when somebody knows it already.
            slices: cuts ids into disjoint sets of about a number of ids; None = in their order.

        Raises:
            IndexRecreated: `created_on` is another one before or after a read: nothing may be concluded of it.
            ServiceError: it could not be read: nothing may be concluded.
        """
        pin = self._same_index(target, pin)
        listed, note = self._listed(target, ids, live_count)
        if listed is not None:
            self._same_index(target, pin)
            yield Reading(ids, listed, "list")
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
        listed, note = self._listed(target, ids, live_count)
        if listed is not None:
            return Reading(ids, listed, "list")
        return Reading(ids, self._get_by_ids(target, ids), "get_by_ids", note)

    def _listed(self, target: Target, ids: IdSet, live_count: int | None) -> tuple[IdSet | None, str]:
        """Those of `ids` that a complete list names; None when there is none, or a dearer one; and why."""
        by_ids = _by_ids(len(ids))
        if by_ids <= 1 or (live_count is not None and ceil(live_count / LIST_PAGE_MAXIMUM) >= by_ids):
            return None, ""
        try:
            listed = self._list(target, lambda page: ids & page, affordable=by_ids)
        except (_NoList, RequestRejected) as problem:  # an expired cursor, too: naming the ids is as good a proof
            return None, str(problem)
        return (None if listed is None else listed[0]), ""

    def _call(self, target: Target, send: Callable[[], R]) -> R:
        """One request to its end."""
        return next(self._calls(target, iter([send])))

    def _calls(self, target: Target, sends: Iterator[Callable[[], R]]) -> Iterator[R]:
        """Several requests, some at once: their results as they arrive.

        Raises:
            ServiceError: of the first that failed for good; what was under way with it is lost.
            Interrupted: the dispatcher was stopped.
        """
        dispatcher, waiting, exhausted = self._dispatcher, 0, False
        while True:
            while not exhausted and waiting < 2 * dispatcher.concurrency:
                send = next(sends, None)
                if send is None:
                    exhausted = True
                    break
                dispatcher.submit(object(), send)
                waiting += 1
            if not waiting:
                return
            self.tick()
            outcome = dispatcher.next(_BEAT)
            if outcome is None and not (dispatcher.in_flight or dispatcher.queued):
                raise Interrupted("stopped while reading", hint="Run it again: reading changes nothing.")
            if outcome is None:
                continue
            if outcome.retry_in is not None:
                self._tell(target, outcome, outcome.retry_in)
                continue
            waiting -= 1
            if outcome.error is not None:
                self._drain(waiting)
                raise outcome.error
            yield outcome.result

    def _tell(self, target: Target, outcome: Outcome, retry_in: float) -> None:
        error = outcome.error
        if error is not None:
            self.notify(
                ReadFailed(target, outcome.attempt, error.message, error.code, error.status, retry_in=retry_in)
            )

    def _get_by_ids(self, target: Target, ids: IdSet) -> IdSet:
        """Every id asked for by name: at most 20 a request, several requests at once."""
        chunks = ids.chunks(GET_BY_IDS_MAXIMUM)
        found: list[str] = []
        for answer in self._calls(target, (partial(self._client.get_by_ids, target, chunk) for chunk in chunks)):
            found += answer
            if self._pace is not None:
                self._pace.answered += 1
        return IdSet.of(found)

    def _drain(self, waiting: int) -> None:
        """Take back what is still under way after a failure, so that the dispatcher is clean for its next user."""
        while waiting and (self._dispatcher.in_flight or self._dispatcher.queued):
            outcome = self._dispatcher.next(_BEAT)
            if outcome is not None and outcome.final:
                waiting -= 1

    def _list(
        self, target: Target, keep: Callable[[IdSet], IdSet], *, affordable: int | None
    ) -> tuple[IdSet, int] | None:
        """A complete list, reduced page by page.

        Args:
            keep: what is kept of a page.
            affordable: requests beyond which another way is cheaper; None when there is no other way.

        Returns:
            (what was kept, vectors in the snapshot); None when the first page shows that it costs too much.

        Raises:
            _NoList: it cannot end in time, or is not the complete list that it says it is.
            CursorExpired: twice.
            ServiceError: it could not be read.
        """
        try:
            return self._snapshot(target, keep, affordable)
        except CursorExpired:
            return self._snapshot(target, keep, affordable)

    def _snapshot(
        self, target: Target, keep: Callable[[IdSet], IdSet], affordable: int | None
    ) -> tuple[IdSet, int] | None:
        """As `_list`, once."""
        kept: list[IdSet] = []
        cursors: set[str | None] = {None}
        cursor: str | None = None
        seen, total = 0, 0
        hashes = _Hashes()
        started = self._clock.elapsed()
        while True:
            page = self._page(target, cursor)
            total = page.total_count if cursor is None else total
            seen += len(page.ids)
            if page.total_count != total:
                raise _NoList(f"{target}: the list counted {total:,} vectors, and then {page.total_count:,}")
            if seen > total or (seen < total and not page.truncated):
                raise _NoList(f"{target}: the list named {seen:,} vectors of the {total:,} that it counts")
            hashes.extend(page.ids)
            builder = IdSetBuilder()
            builder.extend(page.ids)
            kept.append(keep(builder.build()))
            if not page.truncated:
                if hashes.repeated():
                    raise _NoList(f"{target}: the list named a vector twice")
                return IdSet.union(kept), seen
            pages_left = max(1, ceil((total - seen) / LIST_PAGE_MAXIMUM))
            if cursor is None:
                if affordable is not None and pages_left >= affordable:
                    return None
                self._check_pace(target, page, pages_left, self._clock.elapsed() - started)
            if page.next_cursor in cursors:
                raise _NoList(f"{target}: the list gave the same cursor twice")
            cursor = page.next_cursor
            cursors.add(cursor)

    def _page(self, target: Target, cursor: str | None) -> Page:
        try:
            return self._call(target, partial(self._client.list_page, target, cursor=cursor))
        except ServiceFault as fault:
            # Answered, but not with a page, and this often: asking by name may work where a list does not.
            if fault.status is not None and 200 <= fault.status < 300:
                raise _NoList(fault.message) from fault
            raise

    def _check_pace(self, target: Target, page: Page, left: int, seconds: float) -> None:
        """Give up after page 1 when what is left cannot be read before the cursor expires."""
        if page.cursor_expires is None:
            return
        try:
            life = (parse_timestamp(page.cursor_expires) - self._clock.now()).total_seconds()
        except ValueError:
            return
        needed = max(left * seconds, self._dispatcher.budget.least_seconds_left(left))
        if needed > life:
            raise _NoList(
                f"{target}: {left:,} more pages need about {needed:.0f} s, the cursor lives {life:.0f} s"
            )

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
            live = self.pointer(target)[1]
            asked = declared.ids
            matches: dict[str, IdSet] = {}
            if prefixes:
                matched, live = self._matching(target, asked, prefixes)
                matches = {prefix: matched.starting_with(prefix) for prefix in prefixes}
                present, how = matched & asked, "list"
                asked = IdSet.union([asked, *matches.values()])
                present = IdSet.union([present, *matches.values()])
            else:
                reading = self.read(target, asked, live_count=live) if asked else Reading(asked, IdSet(), "")
                present, how = reading.present, reading.how
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

    def _matching(self, target: Target, ids: IdSet, prefixes: Iterable[str]) -> tuple[IdSet, int]:
        """Ids of a complete list that are in `ids` or begin with one of `prefixes`, and the vector count."""

        def keep(page: IdSet) -> IdSet:
            return IdSet.union([page & ids, *(page.starting_with(prefix) for prefix in prefixes)])

        try:
            listed = self._list(target, keep, affordable=None)
        except (_NoList, CursorExpired) as problem:
            raise ServiceFault(f"prefixes cannot be resolved: {problem}") from None
        if listed is None:
            raise AssertionError("a list without an alternative is never too dear")
        return listed


def _by_ids(count: int) -> int:
    """Requests that asking for `count` ids by name takes."""
    return ceil(count / GET_BY_IDS_MAXIMUM)


def _in_order(ids: IdSet, size: int) -> Iterator[IdSet]:
    return (IdSet.of(chunk) for chunk in ids.chunks(size))


def seconds_since(moment: str | None, now: datetime) -> float:
    """Seconds from an RFC 3339 `moment` to `now`; infinite when it is not known."""
    return float("inf") if not moment else (now - parse_timestamp(moment)).total_seconds()

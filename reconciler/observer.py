"""What is live, at the fewest requests.

Two ways to know which of N ids are present: `get_by_ids` costs ceil(N / 20) requests, a complete `list` one for
each 1,000 vectors of the index. The cheaper one is taken. A list is one snapshot: when its cursor expires it
starts again once, and two snapshots are never joined; a list that ends before it named as many ids as it counts
is none. Memory is bounded by the ids in question, not by the index.
"""

from __future__ import annotations

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
from reconciler.model.observation import Observation, Presence, TargetObservation
from reconciler.model.target import Target
from reconciler.model.tombstones import Projection
from reconciler.vectorize import (
    GET_BY_IDS_MAXIMUM,
    LIST_PAGE_MAXIMUM,
    Client,
    CursorExpired,
    Dispatcher,
    Page,
)

R = TypeVar("R")

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
        present: those that are.
        how: "get_by_ids" or "list".
        note: why a list was not taken although it would have been cheaper; "" otherwise.
    """

    present: IdSet
    how: str
    note: str = ""


class Observer:
    """Reads indexes.

    Attributes:
        tick: called every few seconds while something is read, so that a long read can renew a lease.
    """

    def __init__(
        self, client: Client, dispatcher: Dispatcher, clock: Clock, *, tick: Callable[[], None] = lambda: None
    ) -> None:
        self._client = client
        self._dispatcher = dispatcher
        self._clock = clock
        self.tick = tick

    def created_on(self, target: Target) -> str:
        """The index's `created_on`, as the service gives it.

        Raises:
            IndexNotFound: the service does not know the index.
            ServiceError: it could not be read.
        """
        return self._call(lambda: self._client.index(target)).created_on

    def pointer(self, target: Target) -> tuple[str | None, int]:
        """The newest processed mutation, and the vector count (which lags: for choosing, never for proof).

        Raises:
            ServiceError: it could not be read.
        """
        info = self._call(lambda: self._client.info(target))
        return info.processed_up_to_mutation, info.vector_count

    def prove(self, target: Target, ids: IdSet, *, pin: str | None, live_count: int | None = None) -> Reading:
        """Which of `ids` are present, on an index whose `created_on` is `pin` before and after.

        Args:
            pin: None when the index was never seen before; then it is only compared with itself.
            live_count: vectors in the index, when somebody knows it already.

        Raises:
            IndexRecreated: `created_on` is another one before or after the read: nothing may be concluded.
            ServiceError: it could not be read: nothing may be concluded.
        """
        before = self._same_index(target, pin)
        reading = self.read(target, ids, live_count=live_count)
        self._same_index(target, before)
        return reading

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
        by_ids = ceil(len(ids) / GET_BY_IDS_MAXIMUM)
        note = ""
        if by_ids > 1 and (live_count is None or ceil(live_count / LIST_PAGE_MAXIMUM) < by_ids):
            try:
                listed = self._list(target, lambda page: ids & page, affordable=by_ids)
            except (
                _NoList,
                RequestRejected,
            ) as problem:  # an expired cursor, too: naming the ids is as good a proof
                note = str(problem)
            else:
                if listed is not None:
                    return Reading(listed[0], "list")
        return Reading(self._get_by_ids(target, ids), "get_by_ids", note)

    def _call(self, send: Callable[[], R]) -> R:
        """One request to its end."""
        return next(self._calls(iter([send])))

    def _calls(self, sends: Iterator[Callable[[], R]]) -> Iterator[R]:
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
                raise Interrupted("stopped while reading", hint="What was read so far is recorded.")
            if outcome is None or not outcome.final:
                continue
            waiting -= 1
            if outcome.error is not None:
                self._drain(waiting)
                raise outcome.error
            yield outcome.result

    def _get_by_ids(self, target: Target, ids: IdSet) -> IdSet:
        """Every id asked for by name: at most 20 a request, several requests at once."""
        chunks = ids.chunks(GET_BY_IDS_MAXIMUM)
        answers = self._calls(partial(self._client.get_by_ids, target, chunk) for chunk in chunks)
        return IdSet.of(id_ for answer in answers for id_ in answer)

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
            _NoList: it cannot end in time, or ended too early.
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
        seen = 0
        started = self._clock.elapsed()
        while True:
            page: Page = self._call(partial(self._client.list_page, target, cursor=cursor))
            seen += len(page.ids)
            builder = IdSetBuilder()
            builder.extend(page.ids)
            kept.append(keep(builder.build()))
            left = max(0, page.total_count - seen)
            if not page.truncated:
                if left:
                    raise _NoList(f"{target}: the list ended {left:,} vectors before its count")
                return IdSet.union(kept), seen
            pages_left = max(1, ceil(left / LIST_PAGE_MAXIMUM))
            if cursor is None:
                if affordable is not None and pages_left >= affordable:
                    return None
                self._check_pace(target, page, pages_left, self._clock.elapsed() - started)
            if page.next_cursor in cursors:
                raise ServiceFault(f"{target}: the list gave the same cursor twice")
            cursor = page.next_cursor
            cursors.add(cursor)

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
                reading = self.read(target, asked, live_count=live) if asked else Reading(IdSet(), "")
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


def seconds_since(moment: str | None, now: datetime) -> float:
    """Seconds from an RFC 3339 `moment` to `now`; infinite when it is not known."""
    return float("inf") if not moment else (now - parse_timestamp(moment)).total_seconds()

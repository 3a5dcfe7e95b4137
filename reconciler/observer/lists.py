"""Complete lists of an index: one snapshot, whole, or none at all.

What the service counts on the first page must be what the pages name, each vector once. An expired cursor starts
the list again, once, and two snapshots are never joined. Memory is bounded by what is kept of a page and by one id
a page, whatever the size of the index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import ceil

from reconciler.clock import Clock, parse_timestamp
from reconciler.errors import ServiceFault
from reconciler.model.idset import IdSet, IdSetBuilder
from reconciler.model.limits import LIST_PAGE_MAXIMUM
from reconciler.model.target import Target
from reconciler.observer.calls import Calls
from reconciler.vectorize import Client, CursorExpired, Page


class NoList(Exception):
    """A complete list cannot be had."""


class Lists:
    """Reads complete lists."""

    def __init__(self, client: Client, calls: Calls, clock: Clock) -> None:
        self._client = client
        self._calls = calls
        self._clock = clock

    def complete(
        self, target: Target, keep: Callable[[IdSet], IdSet], *, affordable: int | None
    ) -> tuple[IdSet | None, int]:
        """A complete list, reduced page by page.

        Args:
            keep: what is kept of a page.
            affordable: requests beyond which another way is cheaper; None when there is no other way.

        Returns:
            (what was kept, vectors in the snapshot); (None, vectors) when the first page shows that it costs too
            much.

        Raises:
            NoList: it cannot end in time, or is not the complete list that it says it is.
            CursorExpired: twice.
            ServiceError: it could not be read.
        """
        try:
            return self._snapshot(target, keep, affordable)
        except CursorExpired:
            return self._snapshot(target, keep, affordable)

    def _snapshot(
        self, target: Target, keep: Callable[[IdSet], IdSet], affordable: int | None
    ) -> tuple[IdSet | None, int]:
        """As `complete`, once."""
        kept: list[IdSet] = []
        cursors: set[str | None] = {None}
        cursor: str | None = None
        seen, total = 0, 0
        pages = _Pages()
        started = self._clock.elapsed()
        while True:
            page = self._page(target, cursor)
            total = page.total_count if cursor is None else total
            seen += len(page.ids)
            if page.total_count != total:
                raise NoList(f"{target}: the list counted {total:,} vectors, and then {page.total_count:,}")
            if seen > total or (seen < total and not page.truncated):
                raise NoList(f"{target}: the list named {seen:,} vectors of the {total:,} that it counts")
            if pages.overlap(page.ids):
                raise NoList(f"{target}: the list named a vector twice")
            builder = IdSetBuilder()
            builder.extend(page.ids)
            kept.append(keep(builder.build()))
            if not page.truncated:
                return IdSet.union(kept), seen
            pages_left = max(1, ceil((total - seen) / LIST_PAGE_MAXIMUM))
            if cursor is None:
                if affordable is not None and pages_left >= affordable:
                    return None, total
                self._check_pace(target, page, pages_left, self._clock.elapsed() - started)
            if page.next_cursor in cursors:
                raise NoList(f"{target}: the list gave the same cursor twice")
            cursor = page.next_cursor
            cursors.add(cursor)

    def _page(self, target: Target, cursor: str | None) -> Page:
        try:
            return self._calls.one(target, partial(self._client.list_page, target, cursor=cursor))
        except ServiceFault as fault:
            # Answered, but not with a page, and this often: asking by name may work where a list does not.
            if fault.status is not None and 200 <= fault.status < 300:
                raise NoList(fault.message) from fault
            raise

    def _check_pace(self, target: Target, page: Page, left: int, seconds: float) -> None:
        """Give up after page 1 when what is left cannot be read before the cursor expires."""
        if page.cursor_expires is None:
            return
        try:
            life = (parse_timestamp(page.cursor_expires) - self._clock.now()).total_seconds()
        except ValueError:
            return
        needed = max(left * seconds, self._calls.dispatcher.budget.least_seconds_left(left))
        if needed > life:
            raise NoList(f"{target}: {left:,} more pages need about {needed:.0f} s, the cursor lives {life:.0f} s")


class _Pages:
    """Tells whether pages overlap, remembering the page before and the first id of every other.

    Pages are stretches of one order. A stretch that overlaps an earlier one begins in it, ends in it or holds it,
    so that one of the two names the first id of the other, or of the page after it.
    """

    def __init__(self) -> None:
        self._firsts: set[str] = set()
        self._before: frozenset[str] = frozenset()

    def overlap(self, ids: Sequence[str]) -> bool:
        """Does this page name what an earlier one named?"""
        page = frozenset(ids)
        found = not (self._firsts.isdisjoint(page) and self._before.isdisjoint(page))
        self._firsts.update(ids[:1])
        self._before = page
        return found

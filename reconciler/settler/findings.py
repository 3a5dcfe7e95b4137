"""What a read says, as events for the log."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.idset import IdSet
from reconciler.model.tombstones import Status
from reconciler.settler.cases import Case
from reconciler.state.events import Event, Reappeared, Verified
from reconciler.state.naming import IDS_AN_EVENT, ranges


def found_read(case: Case, asked: IdSet, present: IdSet, how: str) -> Iterator[Event]:
    """The events that record a read of `asked` which found `present` there."""
    gone = asked - present
    yield from _proven(case, gone & case.ids, how)
    yield from _never_sent(case, asked, present, how)
    yield from _named(case, gone & case.audit & case.record.ids(Status.REAPPEARED), how)
    yield from found_present(case, case.audit & present, how)


def found_under_prefixes(case: Case, others: IdSet, how: str) -> Iterator[Reappeared]:
    """What begins with a promised prefix and was never sent: it should not be there."""
    for promise, ids in case.broken(others):
        for chunk in ids.chunks(IDS_AN_EVENT):
            yield Reappeared(
                case.record.number, chunk, [[[promise.declaration], len(chunk)]], how=f"{how}; prefix"
            )


def found_present(case: Case, ids: IdSet, how: str) -> Iterator[Event]:
    """`ids` are there and should not be."""
    for chunk in ids.chunks(IDS_AN_EVENT):
        yield Reappeared(case.record.number, chunk, how=how)


def _named(case: Case, gone: IdSet, how: str) -> Iterator[Event]:
    for chunk in gone.chunks(IDS_AN_EVENT):
        yield Verified(case.record.number, how, ids=chunk)


def _proven(case: Case, gone: IdSet, how: str) -> Iterator[Event]:
    """Pending ids that are gone: most often every one of every batch."""
    numbers, covered = case.numbers, case.batch_ids
    if not covered <= gone:
        numbers, covered = case.own.whole(gone)
    if numbers:
        yield Verified(case.record.number, how, ranges(numbers))
    yield from _named(case, gone - covered, how)


def _never_sent(case: Case, asked: IdSet, present: IdSet, how: str) -> Iterator[Event]:
    """Rule 5: what was found absent and not sent, proven now or found present; with its declarations."""
    for there in (False, True):
        for numbers, group in case.absent:
            rest = (group & asked) - case.ids
            for chunk in (rest & present if there else rest - present).chunks(IDS_AN_EVENT):
                runs = [[list(numbers), len(chunk)]]
                if there:
                    yield Reappeared(case.record.number, chunk, runs, how=how)
                else:
                    yield Verified(case.record.number, how, ids=chunk, declarations=runs)

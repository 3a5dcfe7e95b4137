"""How events name ids: whole batches by their numbers, the rest one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.model.batches import own_ids
from reconciler.model.idset import IdSet
from reconciler.model.tombstones import TargetRecord
from reconciler.state.events import Event

#: Ids in one event, and in one frame, so that none grows beyond what an object store takes well.
IDS_AN_EVENT = 10_000


def ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Sorted numbers as inclusive ranges: [1, 2, 3, 7] becomes [[1, 3], [7, 7]]."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def whole_batches(record: TargetRecord, ids: IdSet) -> tuple[list[int], IdSet]:
    """The batches that an event about `ids` may name.

    An event that names a batch is about the ids whose last batch it is: all of them must be in `ids`.

    Returns:
        their numbers, and the ids that they stand for.
    """
    return whole_of(((batch.number, own) for batch, own in own_ids(record.batches)), ids)


def whole_of(batches: Iterable[tuple[int, IdSet]], ids: IdSet) -> tuple[list[int], IdSet]:
    """As `whole_batches`, of numbers and what `own_ids` gave."""
    # Most often a batch is in `ids` or outside: one look-up tells which of thousands are worth a comparison.
    whole = [(number, own) for number, own in batches if own and own.first(1)[0] in ids and own <= ids]
    return [number for number, _ in whole], IdSet.union(own for _, own in whole)


def frames(events: Iterable[Event]) -> Iterator[list[Event]]:
    """`events` in order, in portions that are small enough for a frame."""
    portion: list[Event] = []
    size = 0
    for event in events:
        ids = len(getattr(event, "ids", ()))
        if portion and size + ids > IDS_AN_EVENT:
            yield portion
            portion, size = [], 0
        portion.append(event)
        size += ids
    if portion:
        yield portion

"""How events name ids: whole batches by their numbers, the rest one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

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


class Own:
    """What an event that names a batch is about: the ids of each batch that no later one names.

    Args:
        record: of the target.
    """

    def __init__(self, record: TargetRecord) -> None:
        self._record = record

    def __iter__(self) -> Iterator[tuple[int, IdSet]]:
        """Numbers and those ids, without batches that have none; newest first."""
        return ((batch.number, own) for _, batch, own in own_ids(self._record.batches) if own)

    def whole(self, ids: IdSet) -> tuple[list[int], IdSet]:
        """The batches that an event about `ids` may name: all that they stand for must be in it.

        Returns:
            their numbers, and the ids that they stand for.
        """
        # Most often a batch is in `ids` or outside: its first id tells which of thousands are worth a comparison.
        rows, parts, firsts = self._index
        numbers: list[int] = []
        covered: list[IdSet] = []
        for first in firsts & ids:
            batch = self._record.batches[rows[first]]
            own = parts.get(rows[first]) or batch.ids
            if own <= ids:
                numbers.append(batch.number)
                covered.append(own)
        return numbers, IdSet.union(covered)

    @cached_property
    def _index(self) -> tuple[dict[str, int], dict[int, IdSet], IdSet]:
        """Where each batch stands, by its first own id; own ids where they are not all it has; the first ids."""
        rows: dict[str, int] = {}
        parts: dict[int, IdSet] = {}
        for row, batch, own in own_ids(self._record.batches):
            if own:
                rows[own.first(1)[0]] = row
                if len(own) < len(batch.ids):
                    parts[row] = own
        return rows, parts, IdSet.of(rows)


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

"""The batches of a target: one record each for whoever looks at one, columns for a hundred thousand of them.

A log of ten million ids holds a hundred thousand batches. As objects with sets of their own they would take ten
times the memory of what they say, so `Batches` keeps a column for each field and the ids in `pages.Pages`, and
makes a record, and of it the ids, only when somebody asks.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, overload

from reconciler.model.idset import IdSet
from reconciler.model.layers import named_twice
from reconciler.model.pages import Pages
from reconciler.model.status import REJECTED, Status

#: (numbers of declarations, ids): which declarations each id came from.
Groups = Sequence[tuple[tuple[int, ...], IdSet]]

#: (numbers of declarations, bytes of the block of their ids), in the order of the blocks.
Shape = tuple[tuple[tuple[int, ...], int], ...]

#: The statuses of a batch as they stand in its column: the number of each is its place here.
STATUSES: Final = (*Status, REJECTED)

#: The place of each.
CODES: Final[dict[str, int]] = {status: code for code, status in enumerate(STATUSES)}

#: In the column of acceptances: there is none.
NOT_ACCEPTED: Final = -1


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One batch of the log.

    Attributes:
        number: unique in the log.
        target: number of the target.
        run: the run that sent it.
        declared: (numbers of declarations, ids): which declarations each id came from.
        intent: place of the intent in the log, a number that grows along the log (see `place`).
        submitted_at: RFC 3339, when the intent was recorded.
        accepted: place of the acceptance, None while there is none.
        mutation_id: as the service gave it, None while there is none.
        attempts: requests made for it that the log knows of.
        status: a Status, or REJECTED.
        settled_at: RFC 3339 of the last change of status.
        unknown: an attempt ended without a usable answer; the service may hold a mutation nobody knows.
        accepted_at: RFC 3339 of the acceptance frame; None while there is none.
    """

    number: int
    target: int
    run: str
    declared: Groups
    intent: int
    submitted_at: str
    accepted: int | None = None
    mutation_id: str | None = None
    attempts: int = 0
    status: str = Status.UNRESOLVED
    settled_at: str = ""
    unknown: bool = False
    accepted_at: str | None = None
    processed_at: str | None = None

    @property
    def ids(self) -> IdSet:
        """All ids of the batch."""
        return IdSet.union(ids for _, ids in self.declared)


#: The fields of a batch, and where its ids are.
COLUMNS: Final = (
    "number",
    "intent",
    "accepted",
    "offset",
    "attempts",
    "status",
    "unknown",
    "run",
    "shape",
    "submitted_at",
    "settled_at",
    "mutation_id",
    "accepted_at",
    "processed_at",
)


class Columns:
    """What is said of the batches of one target, a column for each field of `BatchRecord`, a row for each batch.

    Attributes:
        target: number of the target.
        pages: where the ids are.
        offset: in `pages`, of the ids of each batch.
        shape: how they are to be taken apart; equal ones are one object.
    """

    __slots__ = (*COLUMNS, "pages", "target")

    def __init__(self, target: int, pages: Pages) -> None:
        self.target = target
        self.pages = pages
        self.number = array("q")
        self.intent = array("q")
        self.accepted = array("q")
        self.offset = array("q")
        self.attempts = array("l")
        self.status = bytearray()
        self.unknown = bytearray()
        self.run: list[str] = []
        self.shape: list[Shape] = []
        self.submitted_at: list[str] = []
        self.settled_at: list[str] = []
        self.mutation_id: list[str | None] = []
        self.accepted_at: list[str | None] = []
        self.processed_at: list[str | None] = []

    def record(self, row: int) -> BatchRecord:
        """A row as a record."""
        accepted = self.accepted[row]
        return BatchRecord(
            self.number[row],
            self.target,
            self.run[row],
            _Stored(self, row),
            self.intent[row],
            self.submitted_at[row],
            None if accepted == NOT_ACCEPTED else accepted,
            self.mutation_id[row],
            self.attempts[row],
            STATUSES[self.status[row]],
            self.settled_at[row],
            bool(self.unknown[row]),
            self.accepted_at[row],
            self.processed_at[row],
        )

    def places(self, row: int) -> Iterator[tuple[tuple[int, ...], int, int]]:
        """(numbers of declarations, where the block of their ids begins and ends) of a row."""
        start = self.offset[row]
        for numbers, size in self.shape[row]:
            yield numbers, start, start + size
            start += size + 1  # what joins it to the next

    def blocks(self, row: int) -> Iterator[tuple[tuple[int, ...], bytes]]:
        """(numbers of declarations, their ids joined) of a row."""
        for numbers, start, end in self.places(row):
            yield numbers, self.pages.read(start, end - start)


class _Stored(Sequence[tuple[tuple[int, ...], IdSet]]):
    """The ids of a row, fetched when asked for: `BatchRecord.declared`."""

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: Columns, row: int) -> None:
        self._columns = columns
        self._row = row

    def __len__(self) -> int:
        return len(self._columns.shape[self._row])

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], IdSet]]:
        for numbers, block in self._columns.blocks(self._row):
            yield numbers, IdSet.of_block(block)

    @overload
    def __getitem__(self, at: int) -> tuple[tuple[int, ...], IdSet]: ...
    @overload
    def __getitem__(self, at: slice) -> Groups: ...
    def __getitem__(self, at: int | slice) -> tuple[tuple[int, ...], IdSet] | Groups:
        return tuple(self)[at]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


class Batches(Sequence[BatchRecord]):
    """The batches of a target in order of the log, as a value. Records are made when they are asked for."""

    __slots__ = ("_columns", "_count", "_load")

    def __init__(self, count: int, load: Callable[[], Columns]) -> None:
        """`load` is called once, when something is asked for: `count` rows that no longer change."""
        self._count = count
        self._load = load
        self._columns: Columns | None = None

    @classmethod
    def of(cls, columns: Columns) -> Batches:
        """Those of columns that no longer change."""
        return cls(len(columns.number), lambda: columns)

    @property
    def columns(self) -> Columns:
        """What is said of them."""
        if self._columns is None:
            self._columns = self._load()
        return self._columns

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[BatchRecord]:
        return map(self.columns.record, range(len(self)))

    def __reversed__(self) -> Iterator[BatchRecord]:
        return map(self.columns.record, reversed(range(len(self))))

    @overload
    def __getitem__(self, at: int) -> BatchRecord: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[BatchRecord, ...]: ...
    def __getitem__(self, at: int | slice) -> BatchRecord | tuple[BatchRecord, ...]:
        rows = range(len(self))[at]
        return self.columns.record(rows) if isinstance(rows, int) else tuple(map(self.columns.record, rows))

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def own_ids(batches: Sequence[BatchRecord]) -> Iterator[tuple[int, BatchRecord, IdSet]]:
    """For each batch its place, itself, and those of its ids that no later one names.

    Newest first. Rejected batches name none, and are left out.
    """

    def blocks() -> Iterator[bytes]:
        for batch in batches:
            if batch.status != REJECTED:
                for _, ids in batch.declared:
                    yield from ids.blocks()

    twice = named_twice(blocks())
    later: set[str] = set()
    for row, batch in zip(range(len(batches) - 1, -1, -1), reversed(batches), strict=True):
        if batch.status == REJECTED:
            continue
        ids = batch.ids
        again = ids & twice
        yield row, batch, ids - IdSet.of(later.intersection(again)) if again else ids
        later.update(again)

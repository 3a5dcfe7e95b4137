"""The batches of a target as the fold changes them. Every change can be taken back."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from itertools import compress
from typing import Any, Final

from reconciler.model.batches import CODES, COLUMNS, NOT_ACCEPTED, STATUSES, Columns, Shape
from reconciler.model.chunks import block_of, in_order
from reconciler.model.pages import Pages
from reconciler.model.status import REJECTED, Status

#: Steps that take back a change, to be taken from the last to the first.
Undo = list[Callable[[], object]]

_ACCEPTED: Final = CODES[Status.ACCEPTED]
_UNRESOLVED: Final = CODES[Status.UNRESOLVED]
_RELEASED: Final = CODES[Status.RELEASED]
_REJECTED: Final = CODES[REJECTED]


def _becomes(status: Status, *kept: Status) -> bytes:
    """What an event that gives whole batches `status` makes of each status: those of `kept` stay."""
    stay = {CODES[each] for each in kept}
    return bytes(code if code in stay else CODES[status] for code in range(len(STATUSES))).ljust(256, b"\0")


#: `processed` never takes back `verified`; what is not declared any more is not counted as proven again.
_BECOMES: Final = {
    Status.PROCESSED: _becomes(Status.PROCESSED, Status.VERIFIED, Status.RELEASED),
    Status.VERIFIED: _becomes(Status.VERIFIED, Status.RELEASED),
    Status.RELEASED: _becomes(Status.RELEASED),
}


class BatchTable(Columns):
    """The columns of one target, growing. Rows are in order of the log.

    Args:
        target: its number.
        pages: where the ids go.
        shapes: equal shapes, made one.
        undo: where steps that take back what is done here are put.
    """

    __slots__ = ("_ascending", "_lent", "_shapes", "_undo")

    def __init__(self, target: int, pages: Pages, shapes: dict[Shape, Shape], undo: Undo) -> None:
        super().__init__(target, pages)
        self._shapes = shapes
        self._undo = undo
        self._ascending = True
        self._lent = False

    def frozen(self) -> Columns:
        """The rows as they are now, for good. They are copied when the next change comes, if any: see `_own`."""
        made = Columns(self.target, self.pages)
        for name in COLUMNS:
            setattr(made, name, getattr(self, name))
        self._lent = True
        return made

    def _own(self) -> None:
        """Must come before any change, and before one is taken back: what was handed out stays as it was."""
        if self._lent:
            for name in COLUMNS:
                setattr(self, name, getattr(self, name)[:])
            self._lent = False

    def row(self, number: int) -> int:
        """Where batch `number` stands, which is there."""
        if not self._ascending:
            return self.number.index(number)
        return bisect_left(self.number, number)

    def spans(self, first: int, last: int) -> list[range] | None:
        """The rows of the batches from `first` to `last`; None when one of them is not there."""
        if self._ascending:
            start = bisect_left(self.number, first)
            end = start + last - first
            # As many rows as numbers, and the last one fits: all are there.
            if end < len(self.number) and self.number[end] == last:
                return [range(start, end + 1)]
            return None
        places = {number: row for row, number in enumerate(self.number)}
        found = [places.get(number) for number in range(first, min(last, first + len(places)) + 1)]
        return None if None in found else [range(row, row + 1) for row in found if row is not None]

    def answered(self, row: int) -> bool:
        """The service has accepted the batch, or refused it for good."""
        return self.accepted[row] != NOT_ACCEPTED or self.status[row] == _REJECTED

    def add(
        self, number: int, run: str, intent: int, at: str, groups: Sequence[tuple[tuple[int, ...], Sequence[str]]]
    ) -> int:
        """A row for a batch that is about to be sent: how many ids it has, those of each group once.

        Args:
            number: of the batch.
            run: its run.
            intent: the place of the intent.
            at: RFC 3339.
            groups: (numbers of declarations, ids in any order), at least one; each has ids.
        """
        named, blocks, parts = 0, [], []
        for numbers, ids in groups:
            ordered = in_order(ids)
            block = block_of(ordered)
            named += len(ordered)
            blocks.append((block, len(ordered)))
            parts.append((numbers, len(block)))
        shape = tuple(parts)
        place = self.pages.add(blocks)
        self._undo.append(partial(self._cut, len(self.number), self._ascending, place))
        self._own()
        if self.number and self.number[-1] >= number:
            self._ascending = False
        self.number.append(number)
        self.intent.append(intent)
        self.accepted.append(NOT_ACCEPTED)
        self.offset.append(place)
        self.attempts.append(0)
        self.status.append(_UNRESOLVED)
        self.unknown.append(0)
        self.run.append(run)
        self.shape.append(self._shapes.setdefault(shape, shape))
        self.submitted_at.append(at)
        self.settled_at.append(at)
        self.mutation_id.append(None)
        self.accepted_at.append(None)
        self.processed_at.append(None)
        return named

    def _cut(self, rows: int, ascending: bool, place: int) -> None:
        self._own()
        for name in COLUMNS:
            del getattr(self, name)[rows:]
        self._ascending = ascending
        self.pages.cut(place)

    def accept(self, row: int, stamp: int, at: str, mutation_id: str) -> None:
        """The service gave a mutation id, which the batch had not."""
        attempts, status = self.attempts[row], self.status[row]
        self._undo.append(partial(self._take_back, row, attempts, self.settled_at[row], status))
        self._own()
        self.accepted[row] = stamp
        self.accepted_at[row] = at
        self.mutation_id[row] = mutation_id
        self.attempts[row] = attempts + 1
        self.settled_at[row] = at
        if status == _UNRESOLVED:
            self.status[row] = _ACCEPTED

    def _take_back(self, row: int, attempts: int, settled_at: str, status: int) -> None:
        self._own()
        self.accepted[row] = NOT_ACCEPTED
        self.accepted_at[row] = self.mutation_id[row] = None
        self.attempts[row] = attempts
        self.settled_at[row] = settled_at
        self.status[row] = status

    def fail(self, row: int, requests: int, *, unknown: bool) -> None:
        """An attempt ended without a mutation id, after so many `requests`."""
        self._set("attempts", row, self.attempts[row] + requests)
        if unknown:
            self._set("unknown", row, 1)

    def reject(self, row: int, at: str) -> None:
        """The service refused it for good."""
        self._set("status", row, _REJECTED)
        self._set("settled_at", row, at)

    def refused(self, rows: range, status: Status) -> int | None:
        """The number of a batch that no event may give the status; None when all of `rows` may have it."""
        part = slice(rows.start, rows.stop)
        row = self.status[part].find(_REJECTED)
        if row < 0 and status is not Status.RELEASED and NOT_ACCEPTED in self.accepted[part]:
            row = self.accepted[part].index(NOT_ACCEPTED)
        return None if row < 0 else self.number[rows[row]]

    def settle(self, rows: range, status: Status, at: str) -> list[tuple[int, int]]:
        """A span gets the status, but for batches of a later one.

        Returns:
            the numbers of those to which the event means anything, as ranges. Of a released batch an id may live
            on that was left out then, so it hears that the batch is verified; nobody hears `processed` any more.
        """
        part = slice(rows.start, rows.stop)
        after = self.status[part].translate(_BECOMES[status])
        got = [code == CODES[status] for code in after]
        self._set("status", part, after)
        self._set(
            "settled_at",
            part,
            [at if new else old for new, old in zip(got, self.settled_at[part], strict=True)],
        )
        if status is Status.PROCESSED:
            known = self.processed_at[part]
            times = [old or (at if new else None) for new, old in zip(got, known, strict=True)]
            self._set("processed_at", part, times)
        if status is not Status.PROCESSED or all(got):
            return [(self.number[rows.start], self.number[rows.stop - 1])]
        return [(number, number) for number in compress(self.number[part], got)]

    def _set(self, column: str, where: int | slice, value: Any) -> None:
        self._undo.append(partial(self._put, column, where, getattr(self, column)[where]))
        self._put(column, where, value)

    def _put(self, column: str, where: int | slice, value: Any) -> None:
        self._own()
        getattr(self, column)[where] = value

"""Every id's status and declarations, from what a target's log says. The rules are at the top of `fold`.

Nothing is kept per id: ids lie in the sets of batches and of notes. What is computed here is transient, and
takes time about linear in the ids.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple

from reconciler.model.batches import STATUSES, Batches, BatchRecord, Columns
from reconciler.model.chunks import Joined
from reconciler.model.idset import IdSet, IdSetBuilder
from reconciler.model.labels import borne
from reconciler.model.layers import last_named
from reconciler.model.status import REJECTED, Status
from reconciler.state.batchtable import BatchTable

#: Numbers of declarations, and the ids that come from exactly those.
Declared = tuple[tuple[int, ...], IdSet]


@dataclass(frozen=True, slots=True)
class Change:
    """Whole batches got a status at the place `stamp`: those of `batches`, inclusive ranges of numbers."""

    stamp: int
    status: Status
    batches: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Note:
    """An event named `ids` singly at the place `stamp`. `declared` is empty where the event did not say."""

    stamp: int
    status: Status
    ids: IdSet
    declared: tuple[Declared, ...]


@dataclass(frozen=True, slots=True)
class Shadow:
    """From place `start` to `end` a batch that was rejected in the end was the last to name `ids`."""

    start: int
    end: int
    ids: IdSet


@dataclass(slots=True)
class Ledger:
    """What the log says of one target, in order.

    Attributes:
        batches: their table.
        changes: what events said of whole batches, but for what changed nothing.
        excepted: by place: the ids that such an event left out.
        releases: when, and what was named.
    """

    batches: BatchTable
    notes: list[Note] = field(default_factory=list)
    shadows: list[Shadow] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    excepted: dict[int, IdSet] = field(default_factory=dict)
    releases: list[tuple[str, IdSet]] = field(default_factory=list)


@dataclass(slots=True)
class _Special:
    """What was said of one id singly."""

    notes: list[Note] = field(default_factory=list)
    declared: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    excepted: set[int] = field(default_factory=set)
    shadows: list[Shadow] = field(default_factory=list)


#: A status, and the declarations an id came from.
_Key = tuple[Status, tuple[int, ...]]


class _Carried(NamedTuple):
    """A batch carried the id. `row`: where it stands; `numbers`: the declarations the id came from there."""

    row: int
    numbers: tuple[int, ...]


class _Declared(NamedTuple):
    """An event named the id as one of these declarations."""

    stamp: int
    numbers: tuple[int, ...]


class _LeftOut(NamedTuple):
    """An event of whole batches left the id out."""

    stamp: int


_Meaning = _Carried | Note | _Declared | _LeftOut | Shadow

#: Different things said of ids that are remembered while ids are gone through.
_REMEMBERED: Final = 16_384


def summarize(ledger: Ledger) -> tuple[dict[Status, IdSet], tuple[Declared, ...]]:
    """The ids of each status, and the ids of each combination of declarations that are not released."""
    groups = last_named(_of_batches(ledger.batches))
    special = _named_singly(ledger)
    if special:
        sent = IdSet.union(groups.values())
        groups = {key: ids - special for key, ids in groups.items()}
        found = [groups, _loose(ledger, special - sent), _replayed(ledger, special & sent)]
        groups = {
            key: IdSet.union(each[key] for each in found if key in each) for key in dict.fromkeys(chain(*found))
        }
    statuses: dict[Status, list[IdSet]] = {}
    declared: dict[tuple[int, ...], list[IdSet]] = {}
    for (status, numbers), ids in groups.items():
        if ids:
            statuses.setdefault(status, []).append(ids)
            if status is not Status.RELEASED:
                declared.setdefault(numbers, []).append(ids)
    return (
        {status: IdSet.union(statuses[status]) for status in Status if status in statuses},
        tuple((numbers, IdSet.union(sets)) for numbers, sets in sorted(declared.items())),
    )


def _of_batches(table: Columns) -> Iterator[tuple[_Key, Joined]]:
    """The ids of the batches that were not rejected, in order of the log. What stands in order is one piece."""
    pages = table.pages
    key: _Key | None = None
    start = end = reach = 0
    for row, code in enumerate(table.status):
        status = STATUSES[code]
        if not isinstance(status, Status):
            continue
        for numbers, begin, stop in table.places(row):
            if (status, numbers) == key and begin == end + 1 and stop <= reach:
                end = stop
                continue
            if key is not None:
                yield key, pages.piece(start, end)
            key, start, end, reach = (status, numbers), begin, stop, pages.reach(begin)
    if key is not None:
        yield key, pages.piece(start, end)


def _named_singly(ledger: Ledger) -> IdSet:
    """Every id that an event named, or left out of a batch, or that is in a batch that was rejected."""
    return IdSet.union(
        chain(
            (note.ids for note in ledger.notes),
            ledger.excepted.values(),
            (shadow.ids for shadow in ledger.shadows),
        )
    )


def _loose(ledger: Ledger, ids: IdSet) -> dict[_Key, IdSet]:
    """Of `ids`, which are in no batch, what was said last."""
    if not ids:
        return {}
    statuses = last_named((note.status, block) for note in ledger.notes for block in note.ids.blocks())
    declared = last_named(
        (numbers, block) for note in ledger.notes for numbers, part in note.declared for block in part.blocks()
    )
    unsaid = ids - IdSet.union(declared.values())
    declared[()] = IdSet.union([declared.get((), IdSet()), unsaid])
    found = {}
    for status, some in statuses.items():
        named = some & ids
        for numbers, part in declared.items():
            found[status, numbers] = named & part
    return found


def _replayed(ledger: Ledger, ids: IdSet) -> dict[_Key, IdSet]:
    """Of `ids`, which are in batches, what became of each."""
    if not ids:
        return {}
    marks = _Marks(ledger, ids)
    key = lru_cache(_REMEMBERED)(marks.key)  # most ids have it in common with others
    found: dict[_Key, IdSetBuilder] = {}
    for numbers, some in borne(marks.of_batches(), marks.of_others()):
        found.setdefault(key(numbers), IdSetBuilder()).extend_raw(some)
    return {key: builder.build() for key, builder in found.items()}


class _Marks:
    """Everything that names one of `ids`, with a number for each."""

    def __init__(self, ledger: Ledger, ids: IdSet) -> None:
        self._ledger = ledger
        self._ids = ids
        self._meaning: list[_Meaning] = []
        self._changes: dict[int, list[Change]] | None = None

    def of_batches(self) -> Iterator[tuple[int, bytes]]:
        """The batches that were not rejected."""
        for row, batch in enumerate(Batches.of(self._ledger.batches)):
            if batch.status != REJECTED:
                for numbers, part in batch.declared:
                    yield from self._marked(_Carried(row, numbers), part)

    def of_others(self) -> Iterator[tuple[int, bytes]]:
        """What names ids singly, in order of the log."""
        for note in self._ledger.notes:
            yield from self._marked(note, note.ids)
            for numbers, part in note.declared:
                yield from self._marked(_Declared(note.stamp, numbers), part)
        for stamp, excepted in self._ledger.excepted.items():
            yield from self._marked(_LeftOut(stamp), excepted)
        for shadow in self._ledger.shadows:
            yield from self._marked(shadow, shadow.ids)

    def _marked(self, meaning: _Meaning, ids: IdSet) -> Iterator[tuple[int, bytes]]:
        number = len(self._meaning)
        for block in (ids & self._ids).blocks():
            if number == len(self._meaning):
                self._meaning.append(meaning)
            yield number, block

    def key(self, numbers: tuple[int, ...]) -> _Key:
        """Status and declarations of ids that bear these numbers: at least of one batch."""
        found = [self._meaning[number] for number in numbers]
        last = [each for each in found if isinstance(each, _Carried)][-1]
        if self._changes is None:
            table, carried = self._ledger.batches, (each for each in self._meaning if isinstance(each, _Carried))
            self._changes = _changes(self._ledger, {table.number[each.row] for each in carried})
        special = _Special(
            [each for each in found if isinstance(each, Note)],
            [(each.stamp, each.numbers) for each in found if isinstance(each, _Declared)],
            {each.stamp for each in found if isinstance(each, _LeftOut)},
            [each for each in found if isinstance(each, Shadow)],
        )
        batch = self._ledger.batches.record(last.row)
        return _replay(special, batch, last.numbers, self._changes.get(batch.number, ()))


def _changes(ledger: Ledger, numbers: Iterable[int]) -> dict[int, list[Change]]:
    """What was said of the batches of these numbers, in order."""
    wanted = sorted(numbers)
    found: dict[int, list[Change]] = {}
    for change in ledger.changes:
        for first, last in change.batches:
            for number in wanted[bisect_left(wanted, first) : bisect_right(wanted, last)]:
                found.setdefault(number, []).append(change)
    return found


def _replay(
    said: _Special, last: BatchRecord, numbers: tuple[int, ...], changes: Sequence[Change]
) -> tuple[Status, tuple[int, ...]]:
    """Status and declarations of one id, whose last batch is `last` and came from the declarations `numbers`."""
    status = Status.UNRESOLVED if last.accepted is None else Status.ACCEPTED
    notes = [note for note in said.notes if note.stamp > last.intent]
    # While a later batch, rejected since, was the last to name the id, what was said of `last` was not said of it.
    shadows = [shadow for shadow in said.shadows if shadow.start > last.intent]
    whole = [
        change
        for change in changes
        if change.stamp not in said.excepted and not any(s.start < change.stamp < s.end for s in shadows)
    ]
    entries: list[Note | Change] = [*notes, *whole]
    for each in sorted(entries, key=lambda entry: entry.stamp):
        # Only an event that names the id, or a new intent, makes a released id live again.
        if status is not Status.RELEASED or isinstance(each, Note):
            status = each.status
    declared = [found for stamp, found in said.declared if stamp > last.intent]
    return status, declared[-1] if declared else numbers

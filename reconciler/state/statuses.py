"""Every id's status and declarations, from what a target's log says. The rules are at the top of `fold`.

Nothing is kept per id: ids lie in the sets of batches and of notes. What is computed here is transient, and
takes time about linear in the ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.model.idset import IdSet
from reconciler.model.tombstones import REJECTED, BatchRecord, Status

#: Numbers of declarations, and the ids that come from exactly those.
Declared = tuple[tuple[int, ...], IdSet]


@dataclass(frozen=True, slots=True)
class Change:
    """A whole batch got a status at the place `stamp`."""

    stamp: int
    status: Status


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
        batches: their numbers.
        changes: by batch: when all of it got a status that an event gave to whole batches.
        excepted: by place: the ids that such an event left out.
        pending: batches that may still turn out to be rejected.
        releases: when, and what was named.
    """

    batches: list[int] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    shadows: list[Shadow] = field(default_factory=list)
    changes: dict[int, tuple[Change, ...]] = field(default_factory=dict)
    excepted: dict[int, IdSet] = field(default_factory=dict)
    pending: dict[int, None] = field(default_factory=dict)
    releases: list[tuple[str, IdSet]] = field(default_factory=list)


@dataclass(slots=True)
class _Special:
    """What was said of one id singly."""

    notes: list[Note] = field(default_factory=list)
    declared: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    excepted: set[int] = field(default_factory=set)
    shadows: list[Shadow] = field(default_factory=list)


class _Groups:
    """Collects ids by status and declarations."""

    def __init__(self) -> None:
        self._sets: dict[tuple[Status, tuple[int, ...]], list[IdSet]] = {}

    def add(self, status: Status, declarations: tuple[int, ...], ids: IdSet) -> None:
        self._sets.setdefault((status, declarations), []).append(ids)

    def merge(self) -> None:
        """Make one set of those of each group."""
        self._sets = {key: [IdSet.union(sets)] for key, sets in self._sets.items()}

    def disjoint(self, count: int) -> bool:
        """After `merge`: was every one of `count` ids added just once?"""
        return sum(map(len, self._all())) == count == len(IdSet.union(self._all()))

    def remove(self, ids: IdSet) -> None:
        """After `merge`: take `ids` out of every group."""
        self._sets = {key: [each - ids for each in sets] for key, sets in self._sets.items()}

    def _all(self) -> list[IdSet]:
        return [each for sets in self._sets.values() for each in sets]

    def result(self) -> tuple[dict[Status, IdSet], tuple[Declared, ...]]:
        statuses: dict[Status, list[IdSet]] = {}
        declared: dict[tuple[int, ...], list[IdSet]] = {}
        self.merge()
        for (status, numbers), (ids,) in self._sets.items():
            if ids:
                statuses.setdefault(status, []).append(ids)
                if status is not Status.RELEASED:
                    declared.setdefault(numbers, []).append(ids)
        return (
            {status: IdSet.union(statuses[status]) for status in Status if status in statuses},
            tuple((numbers, IdSet.union(sets)) for numbers, sets in sorted(declared.items())),
        )


def summarize(ledger: Ledger, batches: Sequence[BatchRecord]) -> tuple[dict[Status, IdSet], tuple[Declared, ...]]:
    """The ids of each status, and the ids of each combination of declarations that are not released.

    Args:
        ledger: of the target.
        batches: the records of `ledger.batches`, in the same order.
    """
    live = [batch for batch in reversed(batches) if batch.status != REJECTED]
    special = _specials(ledger)
    groups, carriers = _once_named(live, special) or _named_again(live, special)
    singles: dict[tuple[Status, tuple[int, ...]], list[str]] = {}
    for each, said in special.items():
        carrier = carriers.get(each)
        if carrier is not None:
            batch, numbers = carrier
            key = _replay(said, batch, numbers, ledger.changes.get(batch.number, ()))
        elif said.notes:
            key = said.notes[-1].status, said.declared[-1][1] if said.declared else ()
        else:
            continue  # named only by batches that were rejected
        singles.setdefault(key, []).append(each)
    for (status, numbers), ids in singles.items():
        groups.add(status, numbers, IdSet.of(ids))
    return groups.result()


#: For ids that were named singly: their last batch, and the declarations they came from there.
_Carriers = dict[str, tuple[BatchRecord, tuple[int, ...]]]


def _once_named(live: Sequence[BatchRecord], special: Mapping[str, _Special]) -> tuple[_Groups, _Carriers] | None:
    """The groups, without the special ids, if no id is in two batches: the usual case. None otherwise."""
    groups, carriers = _Groups(), _Carriers()
    count = 0
    specials = IdSet.of(special)
    for batch in live:
        for numbers, ids in batch.declared:
            count += len(ids)
            groups.add(Status(batch.status), numbers, ids)
            found = ids & specials if len(specials) < 16 else (each for each in ids if each in special)
            carriers |= dict.fromkeys(found, (batch, numbers))
    groups.merge()
    if not groups.disjoint(count):
        return None
    groups.remove(specials)
    return groups, carriers


def _named_again(live: Sequence[BatchRecord], special: Mapping[str, _Special]) -> tuple[_Groups, _Carriers]:
    """The groups, without the special ids, where the last of several batches counts. `live`: newest first."""
    groups, carriers = _Groups(), _Carriers()
    seen: set[str] = set()
    for batch in live:
        for numbers, ids in batch.declared:
            fresh = [each for each in ids if each not in seen]
            seen.update(fresh)
            plain = [each for each in fresh if each not in special] if special else fresh
            if plain:
                groups.add(Status(batch.status), numbers, ids if len(plain) == len(ids) else IdSet.of(plain))
            if len(plain) < len(fresh):
                carriers |= dict.fromkeys((each for each in fresh if each in special), (batch, numbers))
    return groups, carriers


def _specials(ledger: Ledger) -> dict[str, _Special]:
    """What was said of ids singly, in order of the log."""
    found: dict[str, _Special] = {}
    for note in ledger.notes:
        for each in note.ids:
            found.setdefault(each, _Special()).notes.append(note)
        for numbers, ids in note.declared:
            for each in ids:
                found[each].declared.append((note.stamp, numbers))
    for stamp, ids in ledger.excepted.items():
        for each in ids:
            found.setdefault(each, _Special()).excepted.add(stamp)
    for shadow in ledger.shadows:
        for each in shadow.ids:
            found.setdefault(each, _Special()).shadows.append(shadow)
    return found


def _replay(
    said: _Special, last: BatchRecord, numbers: tuple[int, ...], changes: tuple[Change, ...]
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

"""Entries of manifests, told apart in the log: each has a record for every wording that was applied.

The log numbers entries by their place in a manifest, and they move when one above them is added or removed. So a
record continues, of the same manifest and index:

1. the entry that said just the same, wherever it stood;
2. the entry that had its place, if it gives the same reason;
3. the entry of the same reason whose place another one has taken;
4. the entry that had its place, if that has not moved: a reason that was reworded;

and else it is a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from reconciler.model.tombstones import DeclarationRecord


@dataclass
class Entry:
    """One entry of a manifest: its records, oldest first."""

    records: list[DeclarationRecord]

    @property
    def newest(self) -> DeclarationRecord:
        """As it was last applied."""
        return self.records[-1]

    @property
    def numbers(self) -> frozenset[int]:
        """Its numbers in the log."""
        return frozenset(record.number for record in self.records)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every reason it had, oldest first."""
        return tuple(dict.fromkeys(record.reason for record in self.records))


def entries_of(records: Iterable[DeclarationRecord], places: Mapping[int, int]) -> list[Entry]:
    """The entries of one target.

    Args:
        records: of that target, in order of the log.
        places: by number: where the log has it (see `place`). Those of one frame were applied together.
    """
    found: dict[str, _Entries] = {}
    for _, together in groupby(records, key=lambda record: places[record.number] // 1_000_000):
        by_manifest: dict[str, list[DeclarationRecord]] = {}
        for record in together:
            by_manifest.setdefault(record.manifest, []).append(record)
        for manifest, applied in by_manifest.items():
            found.setdefault(manifest, _Entries()).take(applied)
    return [entry for entries in found.values() for entry in entries.all]


class _Entries:
    """The entries of one manifest, found without looking at all of them: there may be one for each ticket.

    Attributes:
        all: in the order in which they were first applied; below, an entry is its place here.
    """

    def __init__(self) -> None:
        self.all: list[Entry] = []
        self._saying: dict[object, set[int]] = {}
        self._at: dict[int, set[int]] = {}

    def take(self, applied: list[DeclarationRecord]) -> None:
        """Take in what was applied at once."""
        at = {record.ordinal: self._at.get(record.ordinal, set()) for record in applied}
        moved = sorted(place for places in at.values() for place in places)
        standing = [max(places) for places in at.values() if places]  # the last to have a place has it
        same = {place for record in applied for place in self._saying.get(_key(0, record), ())}
        left = list(applied)
        continued: dict[int, DeclarationRecord] = {}
        for rule, candidates in enumerate((sorted(same), standing, moved, standing)):
            index: dict[object, list[int]] = {}
            for place in reversed(candidates):
                if place not in continued:
                    index.setdefault(_key(rule, self.all[place].newest), []).append(place)
            rest = []
            for record in left:
                fitting = index.get(_key(rule, record))
                if fitting:
                    continued[fitting.pop()] = record
                else:
                    rest.append(record)
            left = rest
        for place, record in continued.items():
            before = self.all[place].newest
            self._saying[_key(0, before)].remove(place)
            self._at[before.ordinal].remove(place)
            self.all[place].records.append(record)
            self._index(place)
        for record in left:
            self.all.append(Entry([record]))
            self._index(len(self.all) - 1)

    def _index(self, place: int) -> None:
        newest = self.all[place].newest
        self._saying.setdefault(_key(0, newest), set()).add(place)
        self._at.setdefault(newest.ordinal, set()).add(place)


def _key(rule: int, record: DeclarationRecord) -> object:
    """What two records have in common for the rule to hold."""
    if rule == 0:
        return repr(record.document())
    return (record.ordinal, record.reason) if rule == 1 else record.reason if rule == 2 else record.ordinal

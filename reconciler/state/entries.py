"""Entries of manifests, told apart in the log: each has a record for every wording that was applied.

A record continues an entry by the rules of `model.continuity`, or begins one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from reconciler.model.continuity import continued, saying
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
        self._saying: dict[str, set[int]] = {}
        self._at: dict[int, set[int]] = {}

    def take(self, applied: list[DeclarationRecord]) -> None:
        """Take in what was applied at once."""
        at = {record.ordinal: self._at.get(record.ordinal, set()) for record in applied}
        moved = sorted(place for places in at.values() for place in places)
        standing = [max(places) for places in at.values() if places]  # the last to have a place has it
        same = {place for record in applied for place in self._saying.get(saying(record), ())}
        found = continued(dict(enumerate(applied)), map(self._newest, (sorted(same), standing, moved, standing)))
        for number, place in found.items():
            before = self.all[place].newest
            self._saying[saying(before)].remove(place)
            self._at[before.ordinal].remove(place)
            self.all[place].records.append(applied[number])
            self._index(place)
        for number, record in enumerate(applied):
            if number not in found:
                self.all.append(Entry([record]))
                self._index(len(self.all) - 1)

    def _newest(self, places: Iterable[int]) -> dict[int, DeclarationRecord]:
        return {place: self.all[place].newest for place in places}

    def _index(self, place: int) -> None:
        newest = self.all[place].newest
        self._saying.setdefault(saying(newest), set()).add(place)
        self._at.setdefault(newest.ordinal, set()).add(place)

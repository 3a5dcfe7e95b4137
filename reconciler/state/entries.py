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

from collections.abc import Iterable, Iterator, Mapping
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
    found: dict[str, list[Entry]] = {}
    for _, together in groupby(records, key=lambda record: places[record.number] // 1_000_000):
        by_manifest: dict[str, list[DeclarationRecord]] = {}
        for record in together:
            by_manifest.setdefault(record.manifest, []).append(record)
        for manifest, applied in by_manifest.items():
            _continue(found.setdefault(manifest, []), applied)
    return [entry for entries in found.values() for entry in entries]


def _continue(entries: list[Entry], applied: list[DeclarationRecord]) -> None:
    """Take in what was applied at once of one manifest."""
    taken = {record.ordinal for record in applied}
    standing = {entry.newest.ordinal: entry for entry in entries}  # the last to have a place has it
    free = {id(entry): entry for entry in entries}
    left = list(applied)
    for rule in range(4):
        candidates = list(_candidates(rule, free.values(), standing, taken))
        index: dict[object, list[Entry]] = {}
        for entry in reversed(candidates):
            index.setdefault(_key(rule, entry.newest), []).append(entry)
        rest = []
        for record in left:
            fitting = index.get(_key(rule, record))
            if fitting:
                entry = fitting.pop()
                entry.records.append(record)
                del free[id(entry)]
            else:
                rest.append(record)
        left = rest
    entries += [Entry([record]) for record in left]


def _candidates(
    rule: int, free: Iterable[Entry], standing: Mapping[int, Entry], taken: set[int]
) -> Iterator[Entry]:
    for entry in free:
        ordinal = entry.newest.ordinal
        if rule == 0 or (rule == 2 and ordinal in taken) or (rule in (1, 3) and standing.get(ordinal) is entry):
            yield entry


def _key(rule: int, record: DeclarationRecord) -> object:
    """What two records have in common for the rule to hold."""
    if rule == 0:
        return repr(record.document())
    return (record.ordinal, record.reason) if rule == 1 else record.reason if rule == 2 else record.ordinal

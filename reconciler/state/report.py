"""What became of each declaration: the page that answers "ticket PRIV-4711: done?". Pure: frames in, values out.

A declaration is one entry of a manifest on one index (see `entries`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.model.tombstones import REJECTED, BatchRecord, DeclarationRecord, Status, TargetRecord, place
from reconciler.state.entries import Entry, entries_of
from reconciler.state.frames import Frame
from reconciler.state.proofs import Log, Story, read, stories_of
from reconciler.state.reported import BackReport, DeclarationReport, MutationReport, ProvenReport

#: Outcomes of an apply that sent everything it had planned.
_SENT_ALL = ("done", "not-settled")


@dataclass(frozen=True)
class Report:
    """The declarations asked for, ordered by target, manifest and place in it."""

    lineage: str
    position: int
    head: str
    declarations: tuple[DeclarationReport, ...]

    @property
    def counted(self) -> tuple[DeclarationReport, ...]:
        """Those that decide whether all is done: not what is declared of a newer index, nor what is withdrawn."""
        return tuple(each for each in self.declarations if not (each.superseded or each.withdrawn))

    @property
    def done(self) -> bool:
        """Something is declared, and every id of it was found absent by a read."""
        return bool(self.counted) and all(each.done for each in self.counted)

    def ids(self, *statuses: Status) -> int:
        """How many ids of the indexes that are there now have one of `statuses`; none given: all. Each once."""
        by_target: dict[Target, list[IdSet]] = {}
        for each in self.counted:
            if not each.closed:
                sets = [each.by_status.get(status, IdSet()) for status in statuses or Status]
                by_target.setdefault(each.target, []).extend(sets)
        return sum(len(IdSet.union(sets)) for sets in by_target.values())


def make_report(
    frames: Iterable[Frame], *, reason: str | None = None, manifest: str | None = None, index: str | None = None
) -> Report:
    """The declarations for which all of this holds; with nothing given, all.

    Args:
        frames: the whole log, in order (`walk`).
        reason: their reason, now or earlier, contains it; upper and lower case are the same.
        manifest: they stand in it; its path as recorded.
        index: they are about the index of this name.

    Raises:
        StateDamaged: the log contradicts itself.
    """
    return report_of(read(frames), reason=reason, manifest=manifest, index=index)


def report_of(
    log: Log, *, reason: str | None = None, manifest: str | None = None, index: str | None = None
) -> Report:
    """As `make_report`, of a log that was read."""
    found: list[DeclarationReport] = []
    applied: set[tuple[Target, str, str]] = set()
    targets = [each for each in log.projection.targets.values() if index in (None, each.target.index)]
    for record in sorted(targets, key=lambda each: (each.target, each.closed, each.number)):
        entries = entries_of(log.projection.declared(record.number), log.declared)
        entries.sort(key=lambda entry: (entry.newest.manifest, entry.newest.ordinal, entry.newest.number))
        if not record.closed:
            applied |= {(record.target, e.newest.manifest, said) for e in entries for said in e.reasons}
        chosen = [entry for entry in entries if _matches(entry, reason, manifest)]
        if chosen:
            found += _About(log, record, entries).declarations(chosen, applied)
    projection = log.projection
    return Report(projection.lineage, projection.position, projection.head, tuple(found))


def _matches(entry: Entry, reason: str | None, manifest: str | None) -> bool:
    if manifest is not None and entry.newest.manifest != manifest:
        return False
    return reason is None or any(reason.casefold() in said.casefold() for said in entry.reasons)


class _ByNumber:
    """Ids by the declarations they come from."""

    def __init__(self, groups: Iterable[tuple[tuple[int, ...], IdSet]]) -> None:
        self._groups: dict[int, list[IdSet]] = {}
        for numbers, ids in groups:
            for number in numbers:
                self._groups.setdefault(number, []).append(ids)

    def of(self, numbers: Iterable[int]) -> IdSet:
        """Those that come from any of `numbers`."""
        return IdSet.union(ids for number in numbers for ids in self._groups.get(number, ()))


class _About:
    """What is known of one target, for its declarations."""

    def __init__(self, log: Log, record: TargetRecord, entries: Sequence[Entry]) -> None:
        self._log = log
        self._record = record
        self._entries = entries
        self._said = log.said.get(record.number, [])
        sent = IdSet.union(batch.ids for batch in record.batches if batch.status != REJECTED)
        self._never_sent = IdSet.union(ids for _, ids in record.by_declaration) - sent
        self._carriers = dict(own_batches(record))
        self._named = _ByNumber(record.by_declaration)
        self._released = _ByNumber(self._released_by())
        self._outcomes = {run.run: run.outcome for run in log.projection.runs}
        self._batches: dict[int, dict[int, BatchRecord]] = {}
        for batch in record.batches:
            for members, _ in batch.declared:
                for number in members:
                    self._batches.setdefault(number, {})[batch.number] = batch

    def declarations(
        self, chosen: Sequence[Entry], applied: set[tuple[Target, str, str]]
    ) -> Iterator[DeclarationReport]:
        """What became of `chosen`. `applied`: (index, manifest, reason) of indexes that are there now."""
        ids = [self._ids(entry) for entry in chosen]
        stories = stories_of(self._log, self._record, IdSet.union(each for pair in ids for each in pair))
        for entry, (own, shared) in zip(chosen, ids, strict=True):
            yield self._declaration(entry, own, shared, stories, applied)

    def _ids(self, entry: Entry) -> tuple[IdSet, IdSet]:
        """The ids of `entry`, and besides those it shares with others that had them first."""
        own = self._named.of(entry.numbers)
        return own, self._shared(entry.newest) - own if len(own) < _listed(entry) else IdSet()

    def _declaration(
        self,
        entry: Entry,
        own: IdSet,
        shared: IdSet,
        stories: Mapping[str, Story],
        applied: set[tuple[Target, str, str]],
    ) -> DeclarationReport:
        record, newest = self._record, entry.newest
        ids = own | shared
        by_status = self._by_status(ids)
        verified, reappeared = (by_status.get(s, IdSet()) for s in (Status.VERIFIED, Status.REAPPEARED))
        released = self._released.of(entry.numbers) - ids
        later = self._released_later(released, newest)
        withdrawn = bool(later) and not ids
        same = {(record.target, newest.manifest, said) for said in entry.reasons}
        return DeclarationReport(
            newest=newest,
            earlier=tuple(said for said in entry.reasons if said != newest.reason),
            target=record.target,
            closed=record.closed,
            superseded=record.closed and bool(same & applied),
            prefixes=tuple((str(p["text"]), p.get("count")) for p in newest.prefixes),
            ids=ids,
            shared=shared,
            by_status=by_status,
            listed=_listed(entry),
            missing=0 if withdrawn else self._unrecorded(entry, ids | later) + self._unsent(entry, ids, stories),
            released=len(released),
            never_sent=verified & self._never_sent,
            mutations=tuple(self._mutations(entry.numbers, shared)),
            proven=_proven(verified, stories),
            back=tuple(_back(reappeared, stories)),
            withdrawn=withdrawn,
        )

    def _by_status(self, ids: IdSet) -> dict[Status, IdSet]:
        """`ids`, all of them in force, by their status."""
        held = dict(self._record.by_status)
        held.pop(Status.RELEASED, None)
        # What most ids have is what is left of a few hundred: they need not be looked up among millions.
        most = max(held, key=lambda status: len(held[status]), default=None)
        found = {status: ids & each for status, each in held.items() if status is not most}
        if most is not None:
            found[most] = ids - IdSet.union(found.values())
        return {status: found[status] for status in Status if found.get(status)}

    def _shared(self, newest: DeclarationRecord) -> IdSet:
        """What `newest` lists that was recorded for other declarations: lists are known by their digests."""
        return IdSet.union(self._lists.get(str(source["digest"]), IdSet()) for source in newest.sources)

    @cached_property
    def _lists(self) -> dict[str, IdSet]:
        """By digest: the ids of each entry, and of each combination of declarations."""
        parts = [ids for _, ids in self._record.by_declaration]
        parts += [self._named.of(entry.numbers) for entry in self._entries]
        return {ids.digest(): ids for ids in parts}

    def _released_later(self, released: IdSet, newest: DeclarationRecord) -> IdSet:
        """Those of `released` that a later run released: the run that applied `newest` knew what it names."""
        since, run = self._log.declared[newest.number], self._log.declared_by[newest.number]
        found: list[IdSet] = []
        for said in self._said if released else ():
            if said.what is Status.RELEASED and said.stamp > since and said.run != run:
                whole = [self._carriers.get(n, IdSet()) for a, b in said.batches for n in range(a, b + 1)]
                found += [said.ids, IdSet.union(whole) - said.excepted]
        return released & IdSet.union(found)

    def _unrecorded(self, entry: Entry, known: IdSet) -> int:
        """How many ids the lists of `entry` name besides those that are known."""
        # What a prefix matched proves nothing about the lists.
        matched = IdSet.union(known.starting_with(str(prefix["text"])) for prefix in entry.newest.prefixes)
        return max(0, _listed(entry) - len(known - matched))

    def _unsent(self, entry: Entry, ids: IdSet, stories: Mapping[str, Story]) -> int:
        """How many ids that a prefix matched when it was listed may not have been sent before that run ended."""
        count = 0
        for prefix in entry.newest.prefixes:
            number = _listed_by(entry, prefix)
            if self._outcomes.get(self._log.declared_by[number]) in _SENT_ALL:
                continue
            at = self._log.declared[number] // place(1, 0)
            # An id that was proven absent before that list, and not since, was not on it.
            proofs = (stories[each].proof for each in ids.starting_with(str(prefix["text"])))
            sent = sum(proof is None or proof.position > at for proof in proofs)
            count += max(0, int(prefix.get("count") or 0) - sent)
        return count

    def _released_by(self) -> list[tuple[tuple[int, ...], IdSet]]:
        """The released ids by the declarations that named them last."""
        left = self._record.ids(Status.RELEASED)
        told = [(batch.intent, batch.declared) for batch in self._record.batches if batch.status != REJECTED]
        told += [(said.stamp, said.declared) for said in self._said if said.declared]
        found: list[tuple[tuple[int, ...], IdSet]] = []
        for _, declared in sorted(told, key=lambda each: each[0], reverse=True):
            for numbers, ids in declared if left else ():
                if gone := ids & left:
                    found.append((numbers, gone))
            left -= IdSet.union(ids for _, ids in declared) if left else left
        return found

    def _mutations(self, numbers: frozenset[int], shared: IdSet) -> Iterator[MutationReport]:
        waiting = self._record.ids(Status.ACCEPTED, Status.PROCESSED)
        batches: dict[int, BatchRecord] = {}
        for number in numbers:
            batches |= self._batches.get(number, {})
        if shared:
            batches |= {b.number: b for b in self._record.batches if not b.ids.isdisjoint(shared)}
        for batch in sorted(batches.values(), key=lambda each: each.intent):
            named = IdSet.union(ids for members, ids in batch.declared if numbers & set(members))
            named |= batch.ids & shared
            status = str(batch.status)
            if batch.status == Status.VERIFIED and self._carriers.get(batch.number, IdSet()) & waiting & named:
                status = str(Status.PROCESSED)  # it left some unproven
            yield MutationReport(
                mutation_id=batch.mutation_id,
                status=status,
                submitted_at=batch.submitted_at,
                accepted_at=batch.accepted_at,
                ids=len(named),
                batch=batch.number,
                run=batch.run,
            )


def own_batches(record: TargetRecord) -> Iterator[tuple[int, IdSet]]:
    """The ids of each batch that no later one names, by its number; newest first. Rejected ones name none."""
    later: set[str] = set()
    for batch in reversed(record.batches):
        if batch.status != REJECTED:
            own = IdSet.of(each for each in batch.ids if each not in later)
            later.update(own)
            yield batch.number, own


def _listed(entry: Entry) -> int:
    """How many ids the lists of an entry name, as last applied."""
    return sum(int(source["count"]) for source in entry.newest.sources)


def _listed_by(entry: Entry, prefix: Mapping[str, Any]) -> int:
    """The number of the record that the last list of `prefix` was made for: later ones repeat what it found."""
    found = entry.newest.number
    for record in reversed(entry.records):
        if not any(each["text"] == prefix["text"] and _same_list(each, prefix) for each in record.prefixes):
            break
        found = record.number
    return found


def _same_list(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (one.get("count"), one.get("digest")) == (other.get("count"), other.get("digest"))


def _proven(ids: IdSet, stories: Mapping[str, Story]) -> ProvenReport:
    how: Counter[str] = Counter()
    since: set[str] = set()
    last: set[str] = set()
    for each in ids:
        proof = stories[each].proof
        if proof is not None:
            how[proof.how] += 1
            since.add(proof.since)
            last.add(proof.at)
    return ProvenReport(
        ids=len(ids),
        by_how=tuple(sorted(how.items())),
        first_at=min(since, default=None),
        complete_at=max(since, default=None),
        last_at=max(last, default=None),
    )


def _back(ids: IdSet, stories: Mapping[str, Story]) -> Iterator[BackReport]:
    groups: dict[object, tuple[Story, list[str]]] = {}
    for each in ids:
        story = stories[each]
        proof = story.proof
        key = story.back_at, None if proof is None else (proof.position, proof.since, proof.batch)
        groups.setdefault(key, (story, []))[1].append(each)
    for story, found in groups.values():
        yield BackReport(IdSet.of(found), story.proof, story.back_at)

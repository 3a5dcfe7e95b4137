"""What became of each declaration: the page that answers "ticket PRIV-4711: done?". Pure: frames in, values out.

A declaration is one entry of a manifest on one index (see `entries`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from reconciler.model.accounts import Accounts
from reconciler.model.batches import own_ids
from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.model.tombstones import REJECTED, BatchRecord, DeclarationRecord, Held, Status, TargetRecord
from reconciler.state.entries import Entry, entries_of
from reconciler.state.frames import Frame
from reconciler.state.proofs import Log, Story, read, stories_of
from reconciler.state.reported import BackReport, DeclarationReport, MutationReport, ProvenReport


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


@dataclass(frozen=True)
class _Named:
    """What an entry names, as last applied.

    Attributes:
        ids: in force.
        released: withdrawn since, or lapsed.
        shared: those of `ids` that were recorded for other entries alone.
        missing: how many it names besides.
        known: it is known exactly what it names.
    """

    ids: IdSet
    released: IdSet
    shared: IdSet
    missing: int
    known: bool = True


class _About:
    """What is known of one target, for its declarations."""

    def __init__(self, log: Log, record: TargetRecord, entries: Sequence[Entry]) -> None:
        self._log = log
        self._record = record
        self._entries = entries
        said = log.said.get(record.number, ())
        read = [group for each in said for group in each.declared]
        strange = IdSet.union(each.ids for each in said if each.declared and each.what is Status.REAPPEARED)
        self._accounts = Accounts(record, log.projection.declarations, read=read, strange=strange)
        self._released = record.ids(Status.RELEASED)
        self._waiting = record.ids(Status.ACCEPTED, Status.PROCESSED)
        sent = IdSet.union(batch.ids for batch in record.batches if batch.status != REJECTED)
        self._never_sent = IdSet.union(ids for _, ids in record.by_declaration) - sent
        self._carriers = {batch.number: own for _, batch, own in own_ids(record.batches)}
        self._batches: dict[int, dict[int, BatchRecord]] = {}
        for batch in record.batches:
            for members, _ in batch.declared:
                for number in members:
                    self._batches.setdefault(number, {})[batch.number] = batch

    def declarations(
        self, chosen: Sequence[Entry], applied: set[tuple[Target, str, str]]
    ) -> Iterator[DeclarationReport]:
        """What became of `chosen`. `applied`: (index, manifest, reason) of indexes that are there now."""
        named = [self._named(entry) for entry in chosen]
        stories = stories_of(self._log, self._record, IdSet.union(s for n in named for s in (n.ids, n.released)))
        for entry, names in zip(chosen, named, strict=True):
            yield self._declaration(entry, names, stories, applied)

    def _named(self, entry: Entry) -> _Named:
        newest = entry.newest
        if newest.names is None:
            return self._named_by_digests(entry)
        found, complete = self._accounts.of(newest.number), self._accounts.is_complete(newest.number)
        released = found & self._released
        ids = found - released
        # Where nothing is left but what was released, the rest was withdrawn with it.
        missing = 0 if complete or (released and not ids) else max(1, newest.names.count - len(found))
        shared = ids - self._accounts.borne(entry.numbers) if newest.held != Held() else IdSet()
        return _Named(ids, released, shared, missing)

    def _named_by_digests(self, entry: Entry) -> _Named:
        """Of an entry that was recorded without what it names: sets are known by their digests."""
        newest, own = entry.newest, IdSet.union(map(self._accounts.in_force, entry.numbers))
        released = self._accounts.borne(entry.numbers) & self._released if not own else IdSet()
        if released:
            return _Named(own, released, IdSet(), 0, known=False)
        digests = [str(source["digest"]) for source in newest.sources]
        digests += [str(prefix.get("digest")) for prefix in newest.prefixes]
        found = [self._sets.get(digest) for digest in digests]
        ids = IdSet.union([own, *filter(None, found)])
        known = None not in found
        return _Named(ids, released, ids - own, 0 if known else max(1, _listed(newest) - len(ids)), known)

    @cached_property
    def _sets(self) -> dict[str, IdSet]:
        """By digest: the ids of each entry, and of each combination of declarations."""
        parts = [IdSet(), *(ids for _, ids in self._record.by_declaration)]
        parts += [IdSet.union(map(self._accounts.in_force, entry.numbers)) for entry in self._entries]
        return {ids.digest(): ids for ids in parts}

    def _declaration(
        self,
        entry: Entry,
        named: _Named,
        stories: Mapping[str, Story],
        applied: set[tuple[Target, str, str]],
    ) -> DeclarationReport:
        record, newest = self._record, entry.newest
        by_status = self._by_status(named.ids)
        verified, reappeared = (by_status.get(s, IdSet()) for s in (Status.VERIFIED, Status.REAPPEARED))
        withdrawn = bool(named.released) and not named.ids
        same = {(record.target, newest.manifest, said) for said in entry.reasons}
        return DeclarationReport(
            newest=newest,
            earlier=tuple(said for said in entry.reasons if said != newest.reason),
            target=record.target,
            closed=record.closed,
            superseded=record.closed and bool(same & applied),
            prefixes=tuple((str(p["text"]), p.get("count")) for p in newest.prefixes),
            ids=named.ids,
            shared=named.shared,
            by_status=by_status,
            listed=_listed(newest),
            missing=named.missing,
            released=len(self._released_of(entry, named)),
            never_sent=verified & self._never_sent,
            mutations=tuple(self._mutations(entry.numbers, named.shared)),
            proven=_proven(verified, stories),
            back=tuple(_back(reappeared, stories)),
            withdrawn=withdrawn,
            known=named.known,
            unproven=0 if withdrawn else sum(not _absent(stories[each]) for each in named.released),
        )

    def _released_of(self, entry: Entry, named: _Named) -> IdSet:
        """The released ids that `entry` names, or named once."""
        if not self._released:
            return IdSet()
        return (self._accounts.borne(entry.numbers) & self._released) | named.released

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

    def _mutations(self, numbers: frozenset[int], shared: IdSet) -> Iterator[MutationReport]:
        batches: dict[int, BatchRecord] = {}
        for number in numbers:
            batches |= self._batches.get(number, {})
        parts: dict[int, IdSet] = {}
        if members := frozenset(shared):  # asked for every id of every batch: much cheaper than looking up
            for batch in self._record.batches:
                if part := IdSet.of(each for each in batch.ids if each in members):
                    parts[batch.number], batches[batch.number] = part, batch
        for batch in sorted(batches.values(), key=lambda each: each.intent):
            named = IdSet.union(ids for members, ids in batch.declared if numbers & set(members))
            named |= parts.get(batch.number, IdSet())
            status = str(batch.status)
            if (
                batch.status == Status.VERIFIED
                and self._carriers.get(batch.number, IdSet()) & self._waiting & named
            ):
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


def _listed(declaration: DeclarationRecord) -> int:
    """How many ids its lists name."""
    return sum(int(source["count"]) for source in declaration.sources)


def _absent(story: Story) -> bool:
    """Was it found absent, and not present since?"""
    return story.proof is not None and story.back_at is None


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

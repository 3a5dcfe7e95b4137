"""What became of each declaration: the page that answers "ticket PRIV-4711: done?". Pure: frames in, values out.

A declaration is one entry of a manifest on one index (see `entries`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from reconciler.model.accounts import Accounts
from reconciler.model.batches import own_ids
from reconciler.model.idset import IdSet, IdSetBuilder
from reconciler.model.target import Target
from reconciler.model.tombstones import DeclarationRecord, Held, Status, TargetRecord
from reconciler.state.entries import Entry, entries_of
from reconciler.state.frames import Frame
from reconciler.state.proofs import Log, read
from reconciler.state.reported import BackReport, DeclarationReport, MutationReport, ProvenReport
from reconciler.state.stories import Story, Told, told_of


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


#: What is asked of the ids of a declaration: how they were proven absent, if those released were, how they came
#: back, and which requests named them for others.
_ASKS = (Status.VERIFIED, Status.RELEASED, Status.REAPPEARED, "shared")


@dataclass
class _Found:
    """What is found of an entry.

    Attributes:
        by_status: the ids in force that it names.
        proven: (how, since, last) of the proofs of those that are verified, and of how many.
        never_sent: those of them that no request named.
        unproven: how many of the released were not found absent.
        back: by what was told of them: those that are present again.
        shared: by place of a batch: how many ids it named for other entries alone.
    """

    entry: Entry
    named: _Named
    by_status: dict[Status, IdSet]
    proven: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    never_sent: IdSetBuilder = field(default_factory=IdSetBuilder)
    unproven: int = 0
    back: dict[object, tuple[Story, IdSetBuilder]] = field(default_factory=dict)
    shared: Counter[int] = field(default_factory=Counter)

    def of(self, status: Status) -> IdSet:
        """The ids in force of this status."""
        return self.by_status.get(status, IdSet())

    def asks(self) -> tuple[IdSet, ...]:
        """The ids of which each of `_ASKS` is asked."""
        return self.of(Status.VERIFIED), self.named.released, self.of(Status.REAPPEARED), self.named.shared

    def take(self, ask: str, told: Told) -> None:
        """Take in what is told of some of them."""
        proof, count = told.story.proof, len(told.ids)
        if ask == Status.VERIFIED:
            if proof is not None:
                self.proven[proof.how, proof.since, proof.at] += count
                if all(each.refused for each in told.carried):
                    self.never_sent.extend_raw(list(told.ids))
        elif ask == Status.RELEASED:
            self.unproven += 0 if _absent(told.story) else count
        elif ask == Status.REAPPEARED:
            self.back.setdefault(_key(told.story), (told.story, IdSetBuilder()))[1].extend_raw(list(told.ids))
        else:
            for each in told.carried:
                if self.entry.numbers.isdisjoint(each.numbers):
                    self.shared[each.row] += count


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
        self._left = self._left_by_batches()
        self._requests: dict[int, list[int]] = {}
        for row, batch in enumerate(record.batches):
            for number in {number for members, _ in batch.declared for number in members}:
                self._requests.setdefault(number, []).append(row)

    def _left_by_batches(self) -> dict[int, IdSet]:
        """By place of a batch that was verified: those of its ids that wait all the same."""
        if not self._waiting:
            return {}
        own = own_ids(self._record.batches)
        found = {row: ids & self._waiting for row, batch, ids in own if batch.status == Status.VERIFIED}
        return {row: ids for row, ids in found.items() if ids}

    def declarations(
        self, chosen: Sequence[Entry], applied: set[tuple[Target, str, str]]
    ) -> Iterator[DeclarationReport]:
        """What became of `chosen`. `applied`: (index, manifest, reason) of indexes that are there now."""
        named = [self._named(entry) for entry in chosen]
        found = [
            _Found(entry, names, self._by_status(names.ids)) for entry, names in zip(chosen, named, strict=True)
        ]
        self._tell(found)
        for each in found:
            yield self._declaration(each, applied)

    def _tell(self, found: Sequence[_Found]) -> None:
        """Go through the log once, for all of `found`."""
        asked = [ids for each in found for ids in each.asks()]
        reappeared = IdSet.union(each.of(Status.REAPPEARED) for each in found)
        for told in told_of(self._log, self._record, asked, declared=reappeared):
            for ask in told.asks:
                found[ask // len(_ASKS)].take(_ASKS[ask % len(_ASKS)], told)

    def _named(self, entry: Entry) -> _Named:
        newest = entry.newest
        if newest.names is None:
            return self._named_by_digests(entry)
        found, complete = self._accounts.of(newest.number), self._accounts.is_complete(newest.number)
        unknown = found - self._known if newest.held != Held() else IdSet()
        if unknown:
            # Of a request that was refused after all, say: nothing shows that they were ever deleted.
            found, complete = found - unknown, False
        released = found & self._released
        ids = found - released
        # Where nothing is left but what was released, the rest was withdrawn with it.
        withdrawn = released and not (ids or unknown)
        missing = 0 if complete or withdrawn else max(1, newest.names.count - len(found))
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
    def _known(self) -> IdSet:
        """Every id that has a status."""
        return self._record.ids(*Status)

    @cached_property
    def _sets(self) -> dict[str, IdSet]:
        """By digest: the ids of each entry, and of each combination of declarations."""
        parts = [IdSet(), *(ids for _, ids in self._record.by_declaration)]
        parts += [IdSet.union(map(self._accounts.in_force, entry.numbers)) for entry in self._entries]
        return {ids.digest(): ids for ids in parts}

    def _declaration(self, found: _Found, applied: set[tuple[Target, str, str]]) -> DeclarationReport:
        record, entry, named = self._record, found.entry, found.named
        newest = entry.newest
        withdrawn = bool(named.released) and not (named.ids or named.missing)
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
            by_status=found.by_status,
            listed=_listed(newest),
            missing=named.missing,
            released=len(self._released_of(entry, named)),
            never_sent=found.never_sent.build(),
            mutations=tuple(self._mutations(found)),
            proven=_proven(found),
            back=tuple(_back(found)),
            withdrawn=withdrawn,
            known=named.known,
            unproven=0 if withdrawn else found.unproven,
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

    def _mutations(self, found: _Found) -> Iterator[MutationReport]:
        numbers = found.entry.numbers
        rows = set(found.shared).union(*(self._requests.get(number, ()) for number in numbers))
        for row in sorted(rows):
            batch = self._record.batches[row]
            named = [ids for members, ids in batch.declared if not numbers.isdisjoint(members)]
            status = str(batch.status)
            left = self._left.get(row)
            if left and left & IdSet.union([*named, found.named.shared]):
                status = str(Status.PROCESSED)  # it left some unproven
            yield MutationReport(
                mutation_id=batch.mutation_id,
                status=status,
                submitted_at=batch.submitted_at,
                accepted_at=batch.accepted_at,
                ids=sum(map(len, named)) + found.shared[row],
                batch=batch.number,
                run=batch.run,
            )


def _listed(declaration: DeclarationRecord) -> int:
    """How many ids its lists name."""
    return sum(int(source["count"]) for source in declaration.sources)


def _absent(story: Story) -> bool:
    """Was it found absent, and not present since?"""
    return story.proof is not None and story.back_at is None


def _key(story: Story) -> object:
    """Equal for equal stories."""
    proof = story.proof
    if proof is None:
        return story.back_at
    declared = tuple(each.number for each in proof.declarations)
    return story.back_at, proof.position, proof.how, proof.since, proof.batch, declared


def _proven(found: _Found) -> ProvenReport:
    how: Counter[str] = Counter()
    for (said, _, _), count in found.proven.items():
        how[said] += count
    since = {first for _, first, _ in found.proven}
    return ProvenReport(
        ids=len(found.of(Status.VERIFIED)),
        by_how=tuple(sorted(how.items())),
        first_at=min(since, default=None),
        complete_at=max(since, default=None),
        last_at=max((last for _, _, last in found.proven), default=None),
    )


def _back(found: _Found) -> Iterator[BackReport]:
    groups: dict[object, tuple[Story, list[IdSet]]] = {}
    told = [(story, ids.build()) for story, ids in found.back.values()]
    for story, ids in sorted(told, key=lambda each: each[1].first(1)):
        proof = story.proof
        key = story.back_at, None if proof is None else (proof.position, proof.since, proof.batch)
        groups.setdefault(key, (story, []))[1].append(ids)
    for story, sets in groups.values():
        yield BackReport(IdSet.union(sets), story.proof, story.back_at)

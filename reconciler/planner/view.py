"""What a plan does to one target: what is declared of it, beside what is remembered and what was seen of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from operator import attrgetter

from reconciler.model.accounts import Accounts
from reconciler.model.desired import Declaration, Desired, DesiredTarget
from reconciler.model.diagnostic import Diagnostic, note, warning
from reconciler.model.idset import IdSet
from reconciler.model.limits import PERCENT_FLOOR, Limits
from reconciler.model.observation import Presence, TargetObservation
from reconciler.model.partition import partition
from reconciler.model.plan import SENDING, Action, ActionKind, ActionSource, IndexPlan, PrefixPlan, Summary
from reconciler.model.target import Target
from reconciler.model.tombstones import DeclarationRecord, Projection, Status, TargetRecord
from reconciler.planner.changed import changed

_NOTHING = IdSet()
_KINDS = tuple(kind.value for kind in ActionKind)
_sort_key = attrgetter("sort_key")

#: What happens to ids that are remembered so (None: not at all), and why, unless a look found them absent.
_SENT = {
    None: (ActionKind.DELETE, "new"),
    Status.RELEASED: (ActionKind.DELETE, "declared-again"),
    Status.UNRESOLVED: (ActionKind.RESEND, "outcome-unknown"),
    Status.REAPPEARED: (ActionKind.REAPPEARED, "reappeared"),
}
#: Why ids that are remembered so wait for their proof, whatever a look says.
_WAITING = {Status.ACCEPTED: "accepted", Status.PROCESSED: "processed"}

#: Ids of one index, with what happens to them, why, and where they are declared.
_Part = tuple[ActionKind, str, tuple[ActionSource, ...], IdSet]


@dataclass(slots=True)
class View:
    """One target, seen from all sides.

    Attributes:
        desired, projection: what all manifests say, and all that the state remembers.
        declared, record: of these, what is about the target; None: the state does not know it.
        seen: what was read of the live index; None for an offline plan.
        limits: in force.
    """

    desired: Desired
    projection: Projection
    declared: DesiredTarget
    record: TargetRecord | None
    seen: TargetObservation | None
    limits: Limits

    @property
    def target(self) -> Target:
        return self.declared.target

    def plan(self, batch_size: int) -> IndexPlan:
        """What happens to its ids. `batch_size`: ids in one delete request."""
        prefixes = self._prefixes()
        matched = self._matched(self.declared.declarations) if prefixes else _NOTHING
        actions = self._grouped(self._actions(matched))
        counts: dict[str, int] = dict.fromkeys(_KINDS, 0)
        for action in actions:
            counts[action.kind] += len(action.ids)
        sent = sum(map(counts.__getitem__, SENDING))
        # Nothing but ids found absent: one batch of them is the barrier behind which they are read again.
        requests = ceil(sent / batch_size) if sent else min(1, counts[ActionKind.ALREADY_ABSENT])
        listed = tuple([action for action in actions if action.kind is not ActionKind.UNCHANGED])
        record, seen = self.record, self.seen
        live = None if seen is None else seen.live_count
        return IndexPlan(
            target=self.target,
            created_on=None if record is None else record.created_on,
            summary=Summary(**counts, requests=requests),
            actions=listed,
            prefixes=prefixes,
            live_count=live,
            percent=self._percent(listed, live),
            kept=len(self.declared.kept(matched - self.declared.ids)) if matched else 0,
            observed_created_on=seen.created_on if seen is not None and self._recreated else None,
            read_by="" if seen is None else seen.how,
            read_requests=0 if seen is None else seen.requests,
        )

    @staticmethod
    def _grouped(parts: Iterable[_Part]) -> list[Action]:
        """An action for all ids that share everything else, in order."""
        found: dict[tuple[ActionKind, str, tuple[ActionSource, ...]], list[IdSet]] = {}
        for kind, reason, sources, ids in parts:
            if ids:  # several lists or prefixes may stand at one place
                found.setdefault((kind, reason, sources), []).append(ids)
        actions = [Action(*what, IdSet.union(held)) for what, held in found.items()]
        actions.sort(key=_sort_key)
        return actions

    def _actions(self, matched: IdSet) -> Iterator[_Part]:
        declared, record = self.declared, self.record
        explicit = declared.ids
        if matched:
            matched -= declared.kept(matched - explicit)
        wanted = explicit | matched
        if self.seen is not None and self.seen.presence is Presence.MISSING:
            yield from self._sourced(ActionKind.BLOCKED, "index-missing", wanted)
            return
        kept = declared.kept(explicit)
        if kept:
            yield from self._sourced(ActionKind.BLOCKED, "kept", kept)
        if self._recreated:
            absent = self._absent
            yield from self._sourced(ActionKind.DELETE, "index-recreated", wanted - kept - absent)
            yield from self._sourced(ActionKind.ALREADY_ABSENT, "found-absent", (wanted - kept) & absent)
            return
        # The one pass over everything: what is declared, beside what is remembered.
        new, known, gone = wanted.compared(_NOTHING if record is None else IdSet.union(record.by_status.values()))
        for kind, reason, ids in self._wanted(new - kept, known - kept):
            if kind is ActionKind.UNCHANGED:
                yield kind, reason, (), ids
            else:
                yield from self._sourced(kind, reason, ids)
        if record is not None:
            lapsed = self._lapsed_ids(wanted)
            yield from self._lapsed(lapsed, record)
            yield from self._released(gone - lapsed, record)

    @property
    def _absent(self) -> IdSet:
        """What somebody asked for and did not find."""
        return _NOTHING if self.seen is None else self.seen.asked - self.seen.present

    def _wanted(self, new: IdSet, known: IdSet) -> Iterator[tuple[ActionKind, str, IdSet]]:
        """The table in the docstring of `planner`, row by row, for ids that the state knows, or does not."""
        present, absent = _NOTHING if self.seen is None else self.seen.present, self._absent
        rows: list[tuple[Status | None, IdSet]] = [(None, new), *self._by_status(known)]
        for status, ids in rows:
            if status in _SENT:
                yield (*_SENT[status], ids - absent)
                if absent:
                    yield ActionKind.ALREADY_ABSENT, "found-absent", ids & absent
            elif status in _WAITING:
                yield ActionKind.CONFIRM, _WAITING[status], ids
            else:
                if present:
                    yield ActionKind.REAPPEARED, "reappeared", ids & present
                yield ActionKind.UNCHANGED, "verified", ids - present

    def _by_status(self, known: IdSet) -> Iterator[tuple[Status, IdSet]]:
        """Ids that the state knows by what it knows of them."""
        held = (
            [] if self.record is None else [(status, ids) for status, ids in self.record.by_status.items() if ids]
        )
        if len(held) == 1:
            yield held[0][0], known
        elif known:
            for numbers, part in partition(known, [ids for _, ids in held]):
                yield held[numbers[0]][0], part  # just one: an id has one status

    def _lapsed(self, ids: IdSet, record: TargetRecord) -> Iterator[_Part]:
        if not ids:
            return
        lapsed = self.declared.lapsed
        releasable = ids & IdSet.union(held for held, _ in self._in_scope(record))
        # Not enforced any more, so never sent again; what the service has accepted is still followed to its proof.
        over = releasable & record.ids(Status.VERIFIED, Status.REAPPEARED)
        open_ids = ids & record.ids(Status.ACCEPTED, Status.PROCESSED)
        # Nobody knows what became of these, and no read of what was never accepted proves it: a person decides.
        doubtful = ids & record.ids(Status.UNRESOLVED)
        yield from self._sourced(ActionKind.BLOCKED, "lapsed-unknown", doubtful, lapsed)
        yield from self._sourced(ActionKind.RELEASE, "lapsed", over, lapsed)
        yield from self._sourced(ActionKind.CONFIRM, "lapsed-unverified", open_ids, lapsed)

    def _lapsed_ids(self, wanted: IdSet) -> IdSet:
        lapsed = self.declared.lapsed
        if not lapsed:
            return _NOTHING
        return (IdSet.union(each.ids for each in lapsed) | self._matched(lapsed)) - wanted

    def _released(self, gone: IdSet, record: TargetRecord) -> Iterator[_Part]:
        """Those of `gone`, remembered and not declared, whose declarations were in scope."""
        if not gone:
            return
        everything = IdSet.union(record.by_status.values())
        for ids, declarations in self._in_scope(record):
            sources = tuple(sorted({ActionSource(d.manifest, d.line, d.reason) for d in declarations}))
            yield ActionKind.RELEASE, "undeclared", sources, gone if ids == everything else ids & gone

    def _in_scope(self, record: TargetRecord) -> Iterator[tuple[IdSet, list[DeclarationRecord]]]:
        """Remembered ids with what declared them, if every manifest of it lies within the PATHS asked for."""
        elsewhere = self._named_elsewhere(record)
        for numbers, ids in record.by_declaration:
            declarations = [self.projection.declarations[number] for number in numbers]
            if all(self.desired.in_scope(d.manifest) for d in declarations):
                yield ids - elsewhere, declarations

    def _named_elsewhere(self, record: TargetRecord) -> IdSet:
        """What declarations outside of the PATHS asked for name, as last applied, whoever had it sent."""
        newest = {(each.manifest, each.ordinal): each for each in self.projection.declared(record.number)}
        others = [each.number for each in newest.values() if not self.desired.in_scope(each.manifest)]
        accounts = Accounts(record, self.projection.declarations)
        return IdSet.union(accounts.of(number) for number in others)

    def _matched(self, declarations: Iterable[Declaration]) -> IdSet:
        """What the declared prefixes match: as listed now, and as remembered."""
        prefixes = [prefix.text for declaration in declarations for prefix in declaration.prefixes]
        if not prefixes:
            return _NOTHING
        remembered = IdSet.union(ids for _, ids in (() if self.record is None else self.record.by_declaration))
        found = [remembered.starting_with(text) for text in prefixes]
        if self.seen is not None:
            found += [self.seen.matches[text] for text in prefixes if text in self.seen.matches]
        return IdSet.union(found)

    def _prefixes(self) -> tuple[PrefixPlan, ...]:
        if not self.declared.prefixes:
            return ()
        listed = {
            (applied.manifest, str(prefix["text"])): prefix
            for applied in (() if self.record is None else self.projection.declared(self.record.number))
            for prefix in applied.prefixes
        }
        plans = []
        for declaration in self.declared.declarations:
            for prefix in declaration.prefixes:
                count, digest = None, None
                if self.seen is not None and prefix.text in self.seen.matches:
                    matches = self.seen.matches[prefix.text]
                    count, digest = len(matches), matches.digest()
                elif "count" in (before := listed.get((declaration.manifest, prefix.text), {})):
                    count, digest = int(str(before["count"])), str(before["digest"])
                plans.append(PrefixPlan(prefix.text, prefix.position.path, prefix.position.line, count, digest))
        return tuple(plans)

    def _sourced(
        self, kind: ActionKind, reason: str, ids: IdSet, declarations: Sequence[Declaration] | None = None
    ) -> Iterator[_Part]:
        """The ids, split by where they are declared: by `declarations`, or by those in force."""
        if not ids:
            return
        places: list[tuple[ActionSource, IdSet]] = []
        for declaration in self.declared.declarations if declarations is None else declarations:
            for source in declaration.sources:
                where = source.position
                places.append((ActionSource(where.path, where.line, declaration.reason), source.ids))
            for prefix in declaration.prefixes:
                where = prefix.position
                matched = ids.starting_with(prefix.text)
                places.append((ActionSource(where.path, where.line, declaration.reason), matched))
        if len(places) == 1:  # all of them are declared, so they are there
            yield kind, reason, (places[0][0],), ids
            return
        for numbers, part in partition(ids, [held for _, held in places]):
            sources = tuple(sorted({places[number][0] for number in numbers}))
            yield kind, reason, sources, part

    @property
    def _recreated(self) -> bool:
        return (
            self.record is not None
            and self.seen is not None
            and self.seen.presence is not Presence.MISSING
            and self.record.created_on is not None
            and self.seen.created_on != self.record.created_on
        )

    def _percent(self, actions: Iterable[Action], live: int | None) -> float | None:
        if self.seen is None or live is None or live < PERCENT_FLOOR:
            return None
        sending = IdSet.union(action.ids for action in actions if action.kind.sends)
        return 100.0 * len(sending & self.seen.present) / live

    def diagnostics(self, planned: IndexPlan) -> Iterator[Diagnostic]:
        """What must be known of `planned`, which `plan` made."""
        record = self.record
        if self.seen is not None and self.seen.presence is Presence.MISSING:
            yield warning(
                "index-missing",
                f"{self.target}: the service does not know this index",
                "A misspelt name looks the same as a deleted index, so this is never called success. Correct the "
                "name, or remove its declarations if the index is gone for good.",
            )
        if record is not None and self._recreated:
            yield warning(
                "index-recreated",
                f"{self.target}: the index was deleted and created again",
                f"Remembered as created on {record.created_on}, now {self.seen and self.seen.created_on}. "
                "What was verified absent belongs to the index that is gone.",
            )
        for prefix in planned.prefixes:
            if prefix.count is None:
                yield warning(
                    "prefix-unresolved",
                    f'{self.target}: prefix "{prefix.text}" was never listed',
                    "What it matches is known only to the live index: plan --refresh --out resolves it.",
                )
            elif prefix.count == 0:
                yield note("prefix-empty", f'{self.target}: prefix "{prefix.text}" matches nothing')
        if planned.summary.blocked and (
            doubtful := sum(len(action.ids) for action in planned.actions if action.reason == "lapsed-unknown")
        ):
            yield warning(
                "lapsed-unknown",
                f"{self.target}: {doubtful:,} ids lapsed, and nobody knows whether they were deleted",
                "A later `until` has them sent again and proven; removing their declaration releases them.",
            )
        if record is not None:
            if planned.summary.release:
                yield from self._release_diagnostics(planned, record)
            yield from changed(self.declared, record, self.projection, self.limits)

    def _release_diagnostics(self, planned: IndexPlan, record: TargetRecord) -> Iterator[Diagnostic]:
        released = planned.ids(ActionKind.RELEASE)
        open_ids = released & record.ids(Status.UNRESOLVED, Status.ACCEPTED, Status.PROCESSED)
        if open_ids:
            yield warning(
                "released-unverified",
                f"{self.target}: {len(open_ids):,} of {len(released):,} released ids were never verified absent",
                "Run verify before you remove their declarations, if you need the evidence.",
            )

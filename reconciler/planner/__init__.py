"""The planner: manifests, memory and, if there was one, a look at the live index become a plan.

Pure: no I/O, no clock, no randomness; the same input gives the same plan. What it decides for each id that is
declared absent from an index:

    remembered as      offline                        observed present        observed absent
    nothing, released  - delete (new, declared-again) - delete                o already absent
    unresolved         ? send again                   ? send again            o already absent
    accepted           ~ confirm                      ~ confirm               ~ confirm
    processed          ~ confirm                      ~ confirm               ~ confirm
    verified           = unchanged                    ! reappeared            = unchanged
    reappeared         ! delete again                 ! delete again          o already absent

    kept               x blocked, and the plan is refused
    index missing      x blocked, the other indexes proceed
    index re-created   - delete (index-recreated): what was remembered belongs to the index that is gone

An id that is remembered but no longer declared is released, if every manifest that declared it lies within the
PATHS asked for. An id whose declarations lapsed (`until`) is never sent again, and none lapses unverified: what
the service has accepted is still followed to its proof; where nobody knows (`?`) it stays, blocked, until a person
decides. Any other is released.

Limits are checked on the finished plan: a refused plan still shows all its actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil

from reconciler.model.accounts import Accounts
from reconciler.model.desired import Declaration, Desired, DesiredTarget
from reconciler.model.diagnostic import Diagnostic, note, warning
from reconciler.model.idset import IdSet
from reconciler.model.limits import PERCENT_FLOOR, ApiSettings, Limits
from reconciler.model.observation import Observation, Presence, TargetObservation
from reconciler.model.plan import (
    SENDING,
    Action,
    ActionKind,
    ActionSource,
    IndexPlan,
    Plan,
    PrefixPlan,
    StateRef,
    Summary,
)
from reconciler.model.target import Target
from reconciler.model.tombstones import DeclarationRecord, Projection, Status, TargetRecord
from reconciler.planner.changed import changed
from reconciler.planner.checks import limits_in_force, mismatches, narrowing, refusals
from reconciler.planner.cost import cost_of
from reconciler.planner.fingerprint import fingerprint
from reconciler.planner.review import nothing_declared, of_index, readable, worst_first

__all__ = ["make_plan"]

_NOTHING = IdSet()


def make_plan(
    desired: Desired,
    projection: Projection,
    observation: Observation | None,
    limits: Limits,
    api: ApiSettings,
    *,
    origin: str,
    only: str | None = None,
) -> Plan:
    """Plan what must happen so that every declared id is absent.

    Args:
        desired: what the manifests say.
        projection: what the state remembers; `Projection()` when there is none.
        observation: what was read of the live indexes; None for an offline plan.
        limits: limits in force.
        api: batch size and budget, for the cost.
        origin: the API origin that the plan is for.
        only: the name of the one index to plan; None plans all.

    Returns:
        a plan. Whatever is wrong is in its diagnostics; nothing is raised for bad input.
    """
    targets = {t.target for t in desired.targets}
    targets |= {r.target for r in projection.targets.values() if not r.closed and r.target.origin == origin}
    plans: list[IndexPlan] = []
    diagnostics = [*desired.diagnostics, *mismatches(desired, projection, origin)]
    for target in sorted(t for t in targets if only in (None, t.index)):
        view = _View(desired, projection, target, None if observation is None else observation.of(target), limits)
        planned = view.plan(api.batch_size)
        if planned.actions or planned.prefixes or planned.summary.unchanged:
            plans.append(planned)
            diagnostics += view.diagnostics(planned)
            diagnostics += of_index(planned, projection, limits) if readable(desired) else ()
    diagnostics += nothing_declared(desired, projection, (t for t in targets if only in (None, t.index)))
    diagnostics += narrowing(only, targets)
    diagnostics += refusals(plans, limits)
    summary = Summary.total(plan.summary for plan in plans)
    unresolved = any(prefix.count is None for plan in plans for prefix in plan.prefixes)
    in_force = limits_in_force(limits, plans)
    return Plan(
        fingerprint=fingerprint(plans, desired, in_force),
        state=StateRef(projection.lineage, projection.position, projection.head),
        files=desired.files,
        observed=observation is not None,
        complete=not unresolved and only is None,
        summary=summary,
        indexes=tuple(plans),
        diagnostics=worst_first(diagnostics),
        least_seconds=api.least_seconds(summary.requests),
        cost=cost_of(plans, observation, api),
        limits=in_force,
        unresolved_prefixes=unresolved,
    )


@dataclass(frozen=True)
class _View:
    """One target, seen from all sides."""

    desired: Desired
    projection: Projection
    target: Target
    seen: TargetObservation | None
    limits: Limits

    def plan(self, batch_size: int) -> IndexPlan:
        declared = self.desired.of(self.target)
        record = self.projection.live(self.target)
        pin = None if record is None else record.created_on
        found: dict[tuple[ActionKind, str, tuple[ActionSource, ...]], list[IdSet]] = {}
        for kind, reason, sources, ids in self._actions(declared, record):
            if ids:  # several lists or prefixes may stand at one place
                found.setdefault((kind, reason, sources), []).append(ids)
        actions = [Action(*what, IdSet.union(parts)) for what, parts in found.items()]
        actions.sort(key=lambda action: action.sort_key)
        counts = {kind.value: sum(len(a.ids) for a in actions if a.kind is kind) for kind in ActionKind}
        sent = sum(counts[kind.value] for kind in SENDING)
        # Nothing but ids found absent: one batch of them is the barrier behind which they are read again.
        requests = ceil(sent / batch_size) if sent else min(1, counts[ActionKind.ALREADY_ABSENT.value])
        listed = tuple(action for action in actions if action.kind is not ActionKind.UNCHANGED)
        live = None if self.seen is None else self.seen.live_count
        return IndexPlan(
            target=self.target,
            created_on=pin,
            summary=Summary(**counts, requests=requests),
            actions=listed,
            prefixes=self._prefixes(declared, record),
            live_count=live,
            percent=self._percent(listed, live),
            kept=len(declared.kept(self._matched(declared.declarations) - declared.ids)),
            observed_created_on=self.seen.created_on if self.seen and record and self._recreated(record) else None,
            read_by="" if self.seen is None else self.seen.how,
            read_requests=0 if self.seen is None else self.seen.requests,
        )

    def _actions(
        self, declared: DesiredTarget, record: TargetRecord | None
    ) -> Iterator[tuple[ActionKind, str, tuple[ActionSource, ...], IdSet]]:
        explicit = declared.ids
        matched = self._matched(declared.declarations)
        matched -= declared.kept(matched - explicit)
        wanted = explicit | matched
        kept = declared.kept(explicit)
        if self.seen is not None and self.seen.presence is Presence.MISSING:
            yield from self._sourced(ActionKind.BLOCKED, "index-missing", wanted, declared)
            return
        yield from self._sourced(ActionKind.BLOCKED, "kept", kept, declared)
        if record is not None and self._recreated(record):
            absent = self._absent
            yield from self._sourced(ActionKind.DELETE, "index-recreated", wanted - kept - absent, declared)
            yield from self._sourced(ActionKind.ALREADY_ABSENT, "found-absent", (wanted - kept) & absent, declared)
            return
        # The one pass over everything: what is declared, beside what is remembered.
        new, known, gone = wanted.compared(_NOTHING if record is None else record.ids(*Status))
        for kind, reason, ids in self._wanted(new - kept, known - kept, record):
            if kind is ActionKind.UNCHANGED:
                yield kind, reason, (), ids
            else:
                yield from self._sourced(kind, reason, ids, declared)
        if record is not None:
            yield from self._lapsed(wanted, declared, record)
            yield from self._released(gone - self._lapsed_ids(declared, wanted), record)

    @property
    def _absent(self) -> IdSet:
        """What somebody asked for and did not find."""
        return _NOTHING if self.seen is None else self.seen.asked - self.seen.present

    def _wanted(
        self, new: IdSet, remembered: IdSet, record: TargetRecord | None
    ) -> Iterator[tuple[ActionKind, str, IdSet]]:
        """The table of this module's docstring, row by row, for ids that the state knows, or does not."""
        present, absent = _NOTHING if self.seen is None else self.seen.present, self._absent
        known = dict.fromkeys(Status, _NOTHING)
        held = [] if record is None else [(status, ids) for status, ids in record.by_status.items() if ids]
        if len(held) == 1:
            known[held[0][0]] = remembered
        else:
            for numbers, part in remembered.partition([ids for _, ids in held]):
                known[held[numbers[0]][0]] = part  # just one: an id has one status
        yield (
            ActionKind.ALREADY_ABSENT,
            "found-absent",
            IdSet.union(
                each & absent
                for each in (new, known[Status.RELEASED], known[Status.UNRESOLVED], known[Status.REAPPEARED])
            ),
        )
        yield ActionKind.DELETE, "new", new - absent
        yield ActionKind.DELETE, "declared-again", known[Status.RELEASED] - absent
        yield ActionKind.RESEND, "outcome-unknown", known[Status.UNRESOLVED] - absent
        yield ActionKind.CONFIRM, "accepted", known[Status.ACCEPTED]
        yield ActionKind.CONFIRM, "processed", known[Status.PROCESSED]
        yield (
            ActionKind.REAPPEARED,
            "reappeared",
            (known[Status.REAPPEARED] - absent) | (known[Status.VERIFIED] & present),
        )
        yield ActionKind.UNCHANGED, "verified", known[Status.VERIFIED] - present

    def _lapsed(
        self, wanted: IdSet, declared: DesiredTarget, record: TargetRecord
    ) -> Iterator[tuple[ActionKind, str, tuple[ActionSource, ...], IdSet]]:
        ids = self._lapsed_ids(declared, wanted)
        if not ids:
            return
        lapsed = DesiredTarget(self.target, declared.lapsed)
        releasable = ids & IdSet.union(held for held, _ in self._in_scope(record))
        # Not enforced any more, so never sent again; what the service has accepted is still followed to its proof.
        over = releasable & record.ids(Status.VERIFIED, Status.REAPPEARED)
        open_ids = ids & record.ids(Status.ACCEPTED, Status.PROCESSED)
        # Nobody knows what became of these, and no read of what was never accepted proves it: a person decides.
        doubtful = ids & record.ids(Status.UNRESOLVED)
        yield from self._sourced(ActionKind.BLOCKED, "lapsed-unknown", doubtful, lapsed)
        yield from self._sourced(ActionKind.RELEASE, "lapsed", over, lapsed)
        yield from self._sourced(ActionKind.CONFIRM, "lapsed-unverified", open_ids, lapsed)

    def _lapsed_ids(self, declared: DesiredTarget, wanted: IdSet) -> IdSet:
        explicit = IdSet.union(declaration.ids for declaration in declared.lapsed)
        return (explicit | self._matched(declared.lapsed)) - wanted

    def _released(
        self, gone: IdSet, record: TargetRecord
    ) -> Iterator[tuple[ActionKind, str, tuple[ActionSource, ...], IdSet]]:
        """Those of `gone`, remembered and not declared, whose declarations were in scope."""
        if not gone:
            return
        everything = record.ids(*Status)
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
        record = self.projection.live(self.target)
        if not prefixes:
            return _NOTHING
        remembered = IdSet.union(ids for _, ids in (() if record is None else record.by_declaration))
        found = [remembered.starting_with(text) for text in prefixes]
        if self.seen is not None:
            found += [self.seen.matches[text] for text in prefixes if text in self.seen.matches]
        return IdSet.union(found)

    def _prefixes(self, declared: DesiredTarget, record: TargetRecord | None) -> tuple[PrefixPlan, ...]:
        listed = {
            (applied.manifest, str(prefix["text"])): prefix
            for applied in (self.projection.declared(record.number) if record else ())
            for prefix in applied.prefixes
        }
        plans = []
        for declaration in declared.declarations:
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
        self, kind: ActionKind, reason: str, ids: IdSet, declared: DesiredTarget
    ) -> Iterator[tuple[ActionKind, str, tuple[ActionSource, ...], IdSet]]:
        """The ids, split by where they are declared."""
        if not ids:
            return
        places: list[tuple[ActionSource, IdSet]] = []
        for declaration in declared.declarations:
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
        for numbers, part in ids.partition([held for _, held in places]):
            sources = tuple(sorted({places[number][0] for number in numbers}))
            yield kind, reason, sources, part

    def _recreated(self, record: TargetRecord) -> bool:
        return (
            self.seen is not None
            and self.seen.presence is not Presence.MISSING
            and record.created_on is not None
            and self.seen.created_on != record.created_on
        )

    def _percent(self, actions: Iterable[Action], live: int | None) -> float | None:
        if self.seen is None or live is None or live < PERCENT_FLOOR:
            return None
        sending = IdSet.union(action.ids for action in actions if action.kind.sends)
        return 100.0 * len(sending & self.seen.present) / live

    def diagnostics(self, planned: IndexPlan) -> Iterator[Diagnostic]:
        record = self.projection.live(self.target)
        if self.seen is not None and self.seen.presence is Presence.MISSING:
            yield warning(
                "index-missing",
                f"{self.target}: the service does not know this index",
                "A misspelt name looks the same as a deleted index, so this is never called success. Correct the "
                "name, or remove its declarations if the index is gone for good.",
            )
        if record is not None and self._recreated(record):
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
        doubtful = sum(len(action.ids) for action in planned.actions if action.reason == "lapsed-unknown")
        if doubtful:
            yield warning(
                "lapsed-unknown",
                f"{self.target}: {doubtful:,} ids lapsed, and nobody knows whether they were deleted",
                "A later `until` has them sent again and proven; removing their declaration releases them.",
            )
        if record is not None:
            yield from self._release_diagnostics(planned, record)
            yield from changed(self.desired.of(self.target), record, self.projection, self.limits)

    def _release_diagnostics(self, planned: IndexPlan, record: TargetRecord) -> Iterator[Diagnostic]:
        released = planned.ids(ActionKind.RELEASE)
        open_ids = released & record.ids(Status.UNRESOLVED, Status.ACCEPTED, Status.PROCESSED)
        if open_ids:
            yield warning(
                "released-unverified",
                f"{self.target}: {len(open_ids):,} of {len(released):,} released ids were never verified absent",
                "Run verify before you remove their declarations, if you need the evidence.",
            )

"""Whether what was approved is what would be done: saved plans and expected fingerprints.

A plan file is untrusted. Its ids are compared with the manifests as they are now, its fingerprint with its own
content, and, where no live index was read for it, with the plan that the state at its position gives again.

A plan may expire. That moment is no part of the fingerprint, so whoever can write the file can move it: it keeps
a file that was forgotten from being carried out, no more. Somebody who can write the file could as well plan
again, which needs no credentials and gives the same fingerprint; what may be deleted is said by the manifests
alone. What a run of the plan has begun to send is finished even if the plan has expired since: it was approved,
and half of it is done. An apply that began in time is not stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from reconciler.clock import timestamp
from reconciler.errors import PlanFileError, PlanStale
from reconciler.model.desired import Desired, DesiredTarget
from reconciler.model.diagnostic import Severity, has_errors
from reconciler.model.idset import IdSet
from reconciler.model.observation import Observation
from reconciler.model.plan import ActionKind, IndexPlan, Plan
from reconciler.model.target import Target
from reconciler.model.tombstones import Projection, RunRecord, place
from reconciler.operations.comparing import differences, files_and_limits, index_of
from reconciler.operations.context import Context, load
from reconciler.operations.planning import Planned, listed_first, replan
from reconciler.operations.recording import unrecorded
from reconciler.planfile import SavedPlan
from reconciler.planner.checks import limits_in_force, mismatches, refusals
from reconciler.planner.fingerprint import fingerprint
from reconciler.state.journal import Journal

#: Says what differs, when it is asked.
Told = Callable[[], tuple[str, ...]]


@dataclass(frozen=True)
class Approved:
    """A plan that may be carried out.

    Attributes:
        planned: the plan and what it was made from.
        approval: the fingerprint it was approved by; "" when it is the plan's own.
        skip: ids of each target that need no sending any more.
        done_before: a run of the same fingerprint has sent ids of it.
        saved: it was read from a file.
    """

    planned: Planned
    approval: str = ""
    skip: Mapping[Target, IdSet] = field(default_factory=dict)
    done_before: bool = False
    saved: bool = False

    @property
    def fingerprint(self) -> str:
        """What the run is recorded under."""
        return self.approval or self.planned.plan.fingerprint

    def to_send(self, index: IndexPlan) -> IdSet:
        """The ids of `index` that are left to send."""
        return index.to_send - self.skip.get(index.target, IdSet())

    @property
    def zero_work(self) -> bool:
        """A saved plan had ids to send; none is left, and no run of it has sent any."""
        return self.undone and not any(self.to_send(index) for index in self.planned.plan.indexes)

    @property
    def undone(self) -> bool:
        """A saved plan has ids to send, and no earlier run of it has sent any."""
        return self.saved and bool(self.planned.plan.summary.sends) and not self.done_before

    @property
    def anything_to_do(self) -> bool:
        """Something to send, record, release or wait for."""
        planned = self.planned
        listed = any(listed_first(planned.projection, index) for index in planned.plan.indexes)
        work = planned.plan.changes_ids or planned.plan.pending or listed
        return not self.zero_work and bool(work or unrecorded(planned))

    def does_more_than(self, other: Approved) -> bool:
        """True when it would send or release an id that `other` would not, or send to an index created since."""
        before = {index.target: index for index in other.planned.plan.indexes}
        sent = {target: other.to_send(index) for target, index in before.items()}
        released = {target: index.ids(ActionKind.RELEASE) for target, index in before.items()}
        return any(
            self.to_send(index) - sent.get(index.target, IdSet())
            or index.ids(ActionKind.RELEASE) - released.get(index.target, IdSet())
            or index.outlives(before.get(index.target))
            for index in self.planned.plan.indexes
        )


def check_saved(context: Context, journal: Journal, projection: Projection, saved: SavedPlan) -> Approved:
    """The saved plan, if it still holds.

    Raises:
        PlanStale: it does not hold any more; the differences say why.
        PlanFileError: it does not agree with itself: it was changed after it was made.
        ManifestError, StateError: manifests or state cannot be read.
    """
    plan = saved.plan
    check_whole(saved)
    _not_expired(context, projection, saved)
    desired = load(context, saved.paths, projection=projection, conflicts=Severity.REFUSAL)
    now = replan(context, desired, projection, None, paths=saved.paths, only=saved.only).plan
    told = _told(plan, now, desired)
    base = _base(journal, projection, plan, told)
    _same_inputs(context, desired, plan, told)
    then = replan(context, desired, base, None, paths=saved.paths, only=saved.only).plan
    _same_plan(plan, then, desired)
    _same_pins(plan, projection, told)
    _nothing_more(plan, now, projection, plan.state.position)
    skip = {index.target: _accepted_since(projection, index.target, plan.state.position) for index in plan.indexes}
    diagnostics = (
        *desired.diagnostics,
        *mismatches(desired, projection, context.origin),
        *refusals(list(plan.indexes), context.config.limits),
    )
    plan = replace(_releasing(plan, now), diagnostics=diagnostics)
    planned = Planned(plan, desired, projection, None, saved.paths, saved.only)
    done = any(run.fingerprint == plan.fingerprint for run in _runs_that_sent(projection))
    return Approved(planned, skip=skip, done_before=done, saved=True)


def check_expected(
    context: Context, journal: Journal, approved: Approved, expect: str, document: SavedPlan | None
) -> Approved:
    """The plan made now, if it is the one that `expect` approves, or the rest of it.

    Args:
        context: see Context.
        journal: the state.
        approved: the plan made now.
        expect: the fingerprint that was approved.
        document: the plan file it is of, to show what differs and to know when it expires; None = unknown.

    Raises:
        PlanStale: neither; or `document` is of another plan, or has expired.
        PlanFileError: `document` does not agree with itself.
    """
    planned = approved.planned
    projection = planned.projection
    if document is not None:
        check_whole(document)
        if document.plan.fingerprint != expect:
            raise PlanStale(
                f"the file of the approved plan is of another one: expected {expect}, "
                f"it has {document.plan.fingerprint}",
                hint="Nothing was sent. Give the file that was approved.",
            )
        _not_expired(context, projection, document)
    for run in reversed(projection.runs):
        if run.fingerprint != expect or run.outcome == "done":
            continue
        base = journal.at(run.started - 1)
        for look in _looks(planned.observation, projection, expect):
            began = replan(context, planned.desired, base, look, paths=planned.paths, only=planned.only).plan
            if began.fingerprint == expect:
                _nothing_more(began, planned.plan, projection, run.started - 1)
                _same_indexes(began, planned.plan)
                rest = replace(planned, plan=_releasing(planned.plan, began))
                return replace(approved, planned=rest, approval=expect)
    if planned.plan.fingerprint == expect:
        return approved
    raise PlanStale(
        f"the plan is not the approved one: expected {expect}, this is {planned.plan.fingerprint}",
        hint="Nothing was sent. Review the plan as it is now, and approve its fingerprint."
        + ("" if document else " With --approved PLANFILE the differences are shown."),
        differences=() if document is None else differences(document.plan, planned.plan),
    )


def _looks(seen: Observation | None, projection: Projection, approval: str) -> Iterator[Observation | None]:
    """What may have been seen when a run of `approval` began: nothing; or what is there now and what it sent."""
    yield None
    if seen is None:
        return
    runs = {run.run for run in projection.runs if run.fingerprint == approval}
    targets = {}
    for target, look in seen.targets.items():
        record = projection.live(target)
        batches = () if record is None else record.batches
        sent = IdSet.union(batch.ids for batch in batches if batch.run in runs)
        targets[target] = replace(
            look,
            asked=look.asked | sent,
            present=look.present | sent,
            matches={text: ids | sent.starting_with(text) for text, ids in look.matches.items()},
        )
    yield replace(seen, targets=targets)


def check_whole(saved: SavedPlan) -> None:
    """Whether a plan file agrees with its own fingerprint.

    Raises:
        PlanFileError: it does not: it was changed after it was made.
    """
    plan = saved.plan
    if fingerprint(plan.indexes, Desired(files=plan.files), plan.limits) != plan.fingerprint:
        raise PlanFileError(
            "the plan file does not agree with its own fingerprint: it was changed after it was made",
            hint="Plan again; nothing in this file is what was approved.",
        )


def _not_expired(context: Context, projection: Projection, saved: SavedPlan) -> None:
    """What has expired is not begun. What a run of it has begun to send is finished."""
    now = context.clock.now()
    if saved.expires_at is None or now < saved.expires_at:
        return
    sent = {batch.run for record in projection.targets.values() for batch in record.batches}
    if any(
        run.fingerprint == saved.plan.fingerprint and run.outcome != "done" and run.run in sent
        for run in projection.runs
    ):
        return
    raise PlanStale(
        f"the plan expired at {timestamp(saved.expires_at)}, it is {timestamp(now)} now",
        hint="Nothing was sent. Plan again, and have that approved.",
    )


def _told(plan: Plan, now: Plan, desired: Desired) -> Told:
    """What differs between the approved plan and that of now, for whoever refuses it."""
    if has_errors(desired.diagnostics):
        # What could be read of broken manifests is not all that they declare: their ids say nothing.
        return lambda: files_and_limits((plan.files, plan.limits), (desired.files, plan.limits))
    return lambda: differences(plan, now)


def _base(journal: Journal, projection: Projection, plan: Plan, told: Told) -> Projection:
    """The state that the plan was made against, as the log has it."""
    hint = "Nothing was sent. Plan again."
    reference = plan.state
    if reference.lineage and reference.lineage != projection.lineage:
        raise PlanStale(
            f"the plan was made against another state (lineage {reference.lineage}, here {projection.lineage})",
            hint=hint,
        )
    if reference.position > projection.position:
        raise PlanStale(
            f"the state went backwards: the plan was made at position {reference.position}, "
            f"the log ends at {projection.position}",
            hint="Nothing was sent. Was the state restored from a backup? Find the newer log first.",
        )
    strangers = [run for run in projection.runs if run.command == "apply" and run.fingerprint != plan.fingerprint]
    if not reference.lineage and strangers:
        raise PlanStale(
            f"the plan was made without a state, but this one has a history ({len(strangers)} other runs)",
            hint=hint,
            differences=told(),
        )
    base = journal.at(reference.position)
    if base.head != reference.head:
        raise PlanStale(
            f"the state went another way: at position {reference.position} the log has {base.head[:12]}…, "
            f"the plan {reference.head[:12]}…",
            hint=hint,
        )
    return base


def _same_inputs(context: Context, desired: Desired, plan: Plan, told: Told) -> None:
    """The files, the limits and the origin are those the plan was made from."""
    if plan.files != desired.files:
        raise PlanStale(
            "the manifests are not those the plan was made from",
            hint="Nothing was sent. Plan again.",
            differences=told(),
        )
    limits = limits_in_force(context.config.limits, plan.indexes)
    if limits != plan.limits:
        raise PlanStale(
            "the limits are not those the plan was made under",
            hint="Nothing was sent. Plan again.",
            differences=files_and_limits((plan.files, plan.limits), (plan.files, limits)),
        )
    for index in plan.indexes:
        if index.target.origin != context.origin:
            raise PlanStale(
                f"the plan is for {index.target.origin}, this apply would go to {context.origin}",
                hint="Nothing was sent. Set the base URL that the plan was made for.",
            )


def _same_plan(plan: Plan, then: Plan, desired: Desired) -> None:
    """What the manifests and the state at the plan's position give is what the file says."""
    if not plan.observed and then.fingerprint != plan.fingerprint:
        raise PlanStale(
            "the manifests and the state at the plan's position give another plan now",
            hint="Nothing was sent. Plan again.",
            differences=differences(plan, then),
        )
    before = {index.target: index for index in then.indexes}
    for index in plan.indexes:
        again = before.get(index.target)
        if not index.ids(ActionKind.RELEASE) <= (IdSet() if again is None else again.ids(ActionKind.RELEASE)):
            raise PlanStale(
                f"{index.target}: the plan releases ids that are not released by the manifests",
                hint="Nothing was sent. Plan again.",
            )
        ids = index.to_send | index.ids(ActionKind.ALREADY_ABSENT)
        if strange := ids - _enforced(desired.of(index.target), ids):
            raise PlanStale(
                f"{index.target}: {len(strange):,} ids of the plan are not declared absent (any more), "
                f"the first is {strange.first(1)[0]!r}",
                hint="Nothing was sent. Plan again from the manifests.",
            )


def _enforced(declared: DesiredTarget, ids: IdSet) -> IdSet:
    """Those of `ids` that a declaration in force names, or whose prefix it names."""
    return IdSet.union([ids & declared.ids, *(ids.starting_with(prefix.text) for prefix in declared.prefixes)])


def _same_pins(plan: Plan, projection: Projection, told: Told) -> None:
    explained = any(run.fingerprint == plan.fingerprint for run in projection.runs)
    for index in plan.indexes:
        record = projection.live(index.target)
        pin = None if record is None else record.created_on
        allowed = {index.created_on}
        if explained:
            # A run of this plan may have pinned what had no pin, or the re-created index it was approved for.
            allowed.add(pin if index.created_on is None else index.observed_created_on)
        if pin not in allowed:
            raise PlanStale(
                f"{index.target}: the plan was made for {index_of(index.created_on)}, "
                f"the state knows {index_of(pin)}",
                hint="Nothing was sent. Plan again.",
                differences=told(),
            )


def _nothing_more(approved: Plan, now: Plan, projection: Projection, position: int) -> None:
    """No id needs a send that the approved plan does not have, or needs one again after it was accepted.

    Args:
        approved: as made at `position` of the log.
        now: as made with `projection`.
    """
    allowed = {index.target: index.to_send | index.ids(ActionKind.ALREADY_ABSENT) for index in approved.indexes}
    for index in now.indexes:
        more = index.to_send - allowed.get(index.target, IdSet())
        again = index.to_send & _accepted_since(projection, index.target, position)
        if more or again:
            first = (more or again).first(1)[0]
            why = "that was not approved" if more else "again, after the one that was approved"
            raise PlanStale(
                f"{index.target}: {len(more or again):,} ids need a delete {why}, the first is {first!r}",
                hint="Nothing was sent. Plan again.",
                differences=differences(approved, now),
            )


def _same_indexes(approved: Plan, now: Plan) -> None:
    """Ids go to the indexes that the approved plan was made for, never to one that was created since."""
    before = {index.target: index for index in approved.indexes}
    for index in now.indexes:
        meant = before.get(index.target)
        if meant is not None and index.outlives(meant):
            raise PlanStale(
                f"{index.target}: approved was a plan for {index_of(meant.of_index)}, "
                f"this one is for {index_of(index.of_index)}",
                hint="Nothing was sent. Plan again.",
                differences=differences(approved, now),
            )


def _releasing(plan: Plan, other: Plan) -> Plan:
    """`plan` without the releases that `other` does not have: done since, or declared again."""
    allowed = {index.target: index.ids(ActionKind.RELEASE) for index in other.indexes}
    indexes = []
    for index in plan.indexes:
        both = allowed.get(index.target, IdSet())
        actions = (
            replace(action, ids=action.ids & both) if action.kind is ActionKind.RELEASE else action
            for action in index.actions
        )
        indexes.append(replace(index, actions=tuple(action for action in actions if action.ids)))
    return replace(plan, indexes=tuple(indexes))


def _accepted_since(projection: Projection, target: Target, position: int) -> IdSet:
    """Ids that the service accepted, of batches that were recorded after frame `position`."""
    record = projection.live(target)
    after = place(position + 1, 0)
    batches = () if record is None else record.batches
    return IdSet.union(batch.ids for batch in batches if batch.accepted is not None and batch.intent >= after)


def _runs_that_sent(projection: Projection) -> list[RunRecord]:
    senders = {batch.run for record in projection.targets.values() for batch in record.batches if batch.accepted}
    return [run for run in projection.runs if run.run in senders]

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

from reconciler.model.desired import Desired
from reconciler.model.limits import ApiSettings, Limits
from reconciler.model.observation import Observation
from reconciler.model.plan import IndexPlan, Plan, StateRef, Summary
from reconciler.model.tombstones import Projection
from reconciler.planner.checks import limits_in_force, mismatches, narrowing, refusals
from reconciler.planner.cost import cost_of
from reconciler.planner.fingerprint import fingerprint
from reconciler.planner.review import nothing_declared, of_index, readable, records_by_target, worst_first
from reconciler.planner.view import View

__all__ = ["make_plan"]


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
    targets = dict.fromkeys(t.target for t in desired.targets)
    targets |= dict.fromkeys(
        r.target for r in projection.targets.values() if not r.closed and r.target.origin == origin
    )
    covered = sorted(targets if only is None else [target for target in targets if target.index == only])
    plans: list[IndexPlan] = []
    diagnostics = [*desired.diagnostics, *mismatches(desired, projection, origin)]
    remembered = records_by_target(projection)
    told = readable(desired)
    for target in covered:
        seen = None if observation is None else observation.of(target)
        view = View(desired, projection, desired.of(target), projection.live(target), seen, limits)
        planned = view.plan(api.batch_size)
        if planned.actions or planned.prefixes or planned.summary.unchanged:
            plans.append(planned)
            diagnostics += view.diagnostics(planned)
            diagnostics += of_index(planned, view.record, remembered.get(target, ()), limits) if told else ()
    diagnostics += nothing_declared(desired, projection, covered)
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

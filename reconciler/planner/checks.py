"""What forbids a plan, or what a reviewer must see first: limits, keeps, mismatches with the state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from reconciler.model.desired import Desired
from reconciler.model.diagnostic import Diagnostic, error, note, refusal, warning
from reconciler.model.limits import Limits
from reconciler.model.plan import ActionKind, IndexPlan
from reconciler.model.target import Target
from reconciler.model.tombstones import Projection


def mismatches(desired: Desired, projection: Projection, origin: str) -> Iterator[Diagnostic]:
    if projection.origin is not None and projection.origin != origin:
        yield error(
            "origin-mismatch",
            f"the state belongs to {projection.origin}, this plan is for {origin}",
            "A state is pinned to one API origin, so that a rehearsal never counts as production. Use another "
            "--state, or the base URL that the state belongs to.",
        )
    known: dict[str, set[str]] = {}
    for record in projection.targets.values():
        known.setdefault(record.target.index, set()).add(record.target.account_id)
    for each in desired.targets:
        accounts = known.get(each.target.index, set())
        if not accounts or each.target.account_id in accounts:
            continue
        for declaration in each.declarations:
            if declaration.account_from == "environment":
                yield error(
                    "account-mismatch",
                    f"{each.target.index}: the state knows this index in account {', '.join(sorted(accounts))}, "
                    f"the environment names {each.target.account_id}",
                    "Name the account with account_id in the manifest or in reconciler.yaml.",
                    declaration.position,
                )


def narrowing(only: str | None, targets: Collection[Target]) -> Iterator[Diagnostic]:
    if only is None:
        return
    if not any(target.index == only for target in targets):
        yield error("target-unknown", f"no manifest declares and no state remembers an index named {only!r}")
        return
    yield warning(
        "narrowed",
        f"this plan covers the index {only!r} alone",
        "--target is for exceptional use: what the other manifests ask for is not planned.",
    )


#: Refusals that `apply --dangerous-ignore-limits` passes over, at a prompt and for a reason. Keeps are no limit.
LIMIT_CODES = frozenset({"max-deletes", "max-percent"})


def _way_out(name: str, index: str | None) -> str:
    """Where a limit is raised: a change that is reviewed."""
    place = "limits" if index is None else f"indexes.{index}"
    return f"if this is meant, raise {place}.{name} in reconciler.yaml, where it is reviewed"


def _present(plan: IndexPlan) -> int:
    """The ids that `percent` was measured from."""
    return round((plan.percent or 0.0) * (plan.live_count or 0) / 100.0)


def _declared(plan: IndexPlan) -> int:
    """The ids that are declared absent from the index."""
    return sum(plan.summary.of(kind) for kind in ActionKind if kind is not ActionKind.RELEASE)


def refusals(plans: list[IndexPlan], limits: Limits) -> Iterator[Diagnostic]:
    total = sum(plan.summary.sends for plan in plans)
    for plan in plans:
        limit, sends = limits.of(plan.target.index), plan.summary.sends
        if sends > limit.max_deletes:
            yield refusal(
                "max-deletes",
                f"[{plan.target}] Too many deletes, {sends:,} ids is over {limit.max_deletes:,} "
                f"({sends:,}/{_declared(plan):,} declared): {_way_out('max_deletes', plan.target.index)}",
            )
        if plan.percent is not None and plan.percent > limit.max_percent:
            yield refusal(
                "max-percent",
                f"[{plan.target}] Too many deletes, {plan.percent:.2f} % is over {limit.max_percent:g} % "
                f"({_present(plan):,}/{plan.live_count:,} vectors): {_way_out('max_percent', plan.target.index)}",
            )
        if plan.summary.blocked and (count := sum(len(a.ids) for a in plan.actions if a.reason == "kept")):
            yield refusal(
                "kept-ids",
                f"[{plan.target}] Kept ids, {count:,} declared {'id is' if count == 1 else 'ids are'} protected "
                f"by a keep, 0 may be ({count:,}/{_declared(plan):,} declared): take them out, or remove the keep",
            )
    if total > limits.max_deletes:
        yield refusal(
            "max-deletes",
            f"[whole plan] Too many deletes, {total:,} ids is over {limits.max_deletes:,} "
            f"({total:,}/{sum(map(_declared, plans)):,} declared): {_way_out('max_deletes', None)}",
        )
    unchecked = [plan for plan in plans if plan.summary.sends and plan.percent is None]
    if unchecked:
        yield note(
            "percent-not-checked",
            "percent: not checked",
            "The live indexes were not read, or hold under 100 vectors: "
            + ", ".join(str(p.target) for p in unchecked),
        )


def limits_in_force(limits: Limits, plans: Iterable[IndexPlan]) -> dict[str, dict[str, float]]:
    """The limits that apply to `plans`, by index name; "*" is the whole plan's."""
    force: dict[str, dict[str, float]] = {"*": {"max_deletes": limits.max_deletes}}
    for name in sorted({plan.target.index for plan in plans}):
        force[name] = limits.of(name).as_dict()
    return force

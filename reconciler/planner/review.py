"""What a reviewer must see first: warnings with a name of their own, and the order in which a plan tells things.

nothing-declared   no declaration is left, and the state still remembers ids: an emptied folder of manifests
index-recreated    the index is another one than the state remembers (its created_on changed)
mass-release       more than max_percent of what the state enforces on an index would be released
first-deletion     ids would be sent to an index from which the state remembers no deletion
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.model.desired import Desired
from reconciler.model.diagnostic import Diagnostic, Severity, warning
from reconciler.model.idset import IdSet
from reconciler.model.limits import Limits
from reconciler.model.plan import ActionKind, IndexPlan
from reconciler.model.target import Target
from reconciler.model.tombstones import Projection, Status, TargetRecord

#: The named warnings, the worst first.
REVIEW_CODES = ("nothing-declared", "index-recreated", "mass-release", "first-deletion")

_NAMED = {code: number for number, code in enumerate(REVIEW_CODES)}
_GRAVITY = {severity: number for number, severity in enumerate(Severity)}  # declared from the gravest

_ENFORCED = tuple(status for status in Status if status is not Status.RELEASED)


def worst_first(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """By severity, then the named warnings in their order; else as given."""
    return tuple(sorted(diagnostics, key=_rank))


def readable(desired: Desired) -> bool:
    """What is declared could be read: what is missing in it was taken out, not misspelt."""
    return all(d.severity is not Severity.ERROR or d.code == "no-manifests" for d in desired.diagnostics)


def nothing_declared(desired: Desired, projection: Projection, targets: Iterable[Target]) -> Iterator[Diagnostic]:
    """An emptied folder looks like a decision to release everything."""
    if any(each.declarations or each.lapsed for each in desired.targets):
        return
    if not readable(desired):
        return
    records = [record for target in targets if (record := projection.live(target)) is not None]
    remembered = {record.target: _in_scope(record, desired, projection) for record in records}
    count = sum(map(len, remembered.values()))
    if count:
        indexes = sum(map(bool, remembered.values()))
        yield warning(
            "nothing-declared",
            f"nothing is declared, but the state remembers {_ids(count)} of {indexes:,} "
            f"{'index' if indexes == 1 else 'indexes'}",
            "Was the folder of manifests emptied, or another one named? Applying this releases them: they are not "
            "enforced or audited any more.",
        )


def records_by_target(projection: Projection) -> Mapping[Target, Sequence[TargetRecord]]:
    """What the state remembers of each index, and of those that had its name before it was created again."""
    found: dict[Target, list[TargetRecord]] = {}
    for record in projection.targets.values():
        found.setdefault(record.target, []).append(record)
    return found


def of_index(
    plan: IndexPlan, record: TargetRecord | None, records: Iterable[TargetRecord], limits: Limits
) -> Iterator[Diagnostic]:
    """What must be seen of one index.

    Args:
        plan: what is done to it.
        record: what the state remembers of it.
        records: that, and what it remembers of those that had its name before.
        limits: in force.
    """
    if record is not None and plan.summary.release:
        released = plan.ids(ActionKind.RELEASE)
        enforced = len(record.ids(*_ENFORCED))
        limit = limits.of(plan.target.index).max_percent
        if len(released) * 100 > limit * enforced:
            yield warning(
                "mass-release",
                f"[{plan.target}] Many releases, {100 * len(released) / max(1, enforced):.2f} % is over "
                f"{limit:g} % ({len(released):,}/{enforced:,})",
                "Released ids are not enforced or audited any more. Is that meant?",
            )
    sends = plan.summary.sends
    if sends and not any(map(_deletes, records)):
        yield warning(
            "first-deletion",
            f"{plan.target}: the first deletion on this index that the state knows of",
            f"{_ids(sends)} would be sent. Is it the right index of the right account?",
        )


def _deletes(record: TargetRecord) -> bool:
    """Something was deleted from it."""
    return bool(
        record.ids(Status.ACCEPTED, Status.PROCESSED, Status.VERIFIED, Status.REAPPEARED, Status.RELEASED)
    ) or any(batch.accepted is not None for batch in record.batches)


def _in_scope(record: TargetRecord, desired: Desired, projection: Projection) -> IdSet:
    held = [
        ids
        for numbers, ids in record.by_declaration
        if all(desired.in_scope(projection.declarations[number].manifest) for number in numbers)
    ]
    return IdSet.union(held) & record.ids(*_ENFORCED)


def _ids(count: int) -> str:
    return "1 id" if count == 1 else f"{count:,} ids"


def _rank(diagnostic: Diagnostic) -> tuple[int, int]:
    return _GRAVITY[diagnostic.severity], _NAMED.get(diagnostic.code, len(_NAMED))

"""What changed in a declaration since it was applied, as a note that people read.

A declaration is compared with the record at its place if that says the same, and else with the one that it
continues by the rules of `model.continuity`: it may only have moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reconciler.differences import describe, one_line
from reconciler.model.continuity import continued, saying
from reconciler.model.desired import Declaration, DesiredTarget
from reconciler.model.diagnostic import Diagnostic, note
from reconciler.model.limits import Limits
from reconciler.model.tombstones import DeclarationRecord, Projection, TargetRecord

#: Of a list of ids: how many, and their digest.
_List = Mapping[str, Any]


def changed(
    declared: DesiredTarget, record: TargetRecord, projection: Projection, limits: Limits
) -> Iterator[Diagnostic]:
    """A note for each declaration of an index that is not as it was applied last.

    Args:
        declared: what the manifests say of the index.
        record: what the state remembers of it.
        projection: the state.
        limits: in force.
    """
    applied = {(each.manifest, each.ordinal): each for each in projection.declared(record.number)}
    in_force = limits.of(declared.target.index).as_dict()
    for declaration, before in _beside([*declared.declarations, *declared.lapsed], applied):
        then = {**before.document(), "limits": dict(before.limits)}
        now = {**declaration.document(), "limits": in_force}
        if then == now:
            continue
        # Lists change most often, and a sentence says it; the rest is compared as documents.
        lines = [*_lists(then.pop("sources"), now.pop("sources")), *describe(then, now)]
        if lines:
            yield note(
                "declaration-changed",
                f"{declared.target}: this declaration changed since it was applied",
                "\n".join(lines),
                declaration.position,
            )


def _beside(
    declarations: Sequence[Declaration], applied: Mapping[tuple[str, int], DeclarationRecord]
) -> Iterator[tuple[Declaration, DeclarationRecord]]:
    """Each declaration that is not new, in their order, with the record it is compared with.

    Args:
        declarations: of one index.
        applied: by manifest and place: the newest record.
    """
    found: dict[int, DeclarationRecord] = {}
    rest: dict[str, dict[int, Declaration]] = {}  # by manifest, those of which nothing is found yet
    for number, declaration in enumerate(declarations):
        before = applied.get((declaration.manifest, declaration.ordinal))
        if before is not None and before.document() == declaration.document():
            found[number] = before
        else:
            rest.setdefault(declaration.manifest, {})[number] = declaration
    used = {each.number for each in found.values()}
    left: dict[str, dict[int, DeclarationRecord]] = {}
    for record in applied.values():
        if record.number not in used and record.manifest in rest:
            left.setdefault(record.manifest, {})[record.number] = record
    if left:
        found |= _continued(declarations, rest, left)
    for number in sorted(found):
        yield declarations[number], found[number]


def _continued(
    declarations: Iterable[Declaration],
    rest: Mapping[str, Mapping[int, Declaration]],
    left: Mapping[str, dict[int, DeclarationRecord]],
) -> dict[int, DeclarationRecord]:
    """What those in `rest` continue of what is `left`, both by manifest; `declarations`: all of the index."""
    taken = {(each.manifest, each.ordinal) for each in declarations}
    said = {(each.manifest, saying(each)) for each in declarations}
    found = {}
    for manifest, records in left.items():
        displaced = {number: each for number, each in records.items() if (manifest, each.ordinal) in taken}
        # What is said elsewhere now was left behind when its entry moved.
        unmoved = {number: each for number, each in records.items() if (manifest, saying(each)) not in said}
        for place, number in continued(rest[manifest], (records, records, displaced, unmoved)).items():
            found[place] = records[number]
    return found


def _lists(before: Mapping[str, _List], now: Mapping[str, _List]) -> Iterator[str]:
    """A line for each list that differs. Never which ids: it may be millions, and they are personal data."""
    for place in sorted({*before, *now}):
        then, there = before.get(place), now.get(place)
        if then == there:
            continue
        if then is None or there is None:
            said = f"added, {_ids(there)}" if there is not None else f"removed, {_ids(then)}"
        elif then["count"] == there["count"]:
            said = f"{_ids(there)}, not all of them the same"
        else:
            said = f"{then['count']:,} → {_ids(there)}"
        yield f"{one_line(place)}: {said}"


def _ids(listed: _List | None) -> str:
    count = 0 if listed is None else listed["count"]
    return "1 id" if count == 1 else f"{count:,} ids"

"""What changed in a declaration since it was applied, as a note that people read.

The log numbers the declarations of a manifest by their place, and they move when one above them is added or
removed. So a declaration is compared with the record at its place if that says the same, or else with that which:

1. says the same, wherever it stands: it has only moved;
2. stands at its place, and gives the same reason;
3. gives the same reason, and another one has its place;
4. stands at its place, and has not moved itself: a reason that was reworded;

and with none, when it is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.differences import describe, one_line
from reconciler.model.desired import Declaration, DesiredTarget
from reconciler.model.diagnostic import Diagnostic, note
from reconciler.model.limits import Limits
from reconciler.model.tombstones import DeclarationRecord, Projection, TargetRecord

#: Of a list of ids: how many, and their digest.
_List = Mapping[str, Any]

_Either = Declaration | DeclarationRecord


def _saying(each: _Either) -> str:
    return repr(each.document())


#: What a declaration and a record have in common for each of the rules above.
_RULES: Final[tuple[Callable[[_Either], object], ...]] = (
    lambda each: (each.manifest, _saying(each)),
    lambda each: (each.manifest, each.ordinal, each.reason),
    lambda each: (each.manifest, each.reason),
    lambda each: (each.manifest, each.ordinal),
)


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
    rest = []
    for number, declaration in enumerate(declarations):
        before = applied.get((declaration.manifest, declaration.ordinal))
        if before is not None and before.document() == declaration.document():
            found[number] = before
        else:
            rest.append(number)
    if rest:
        used = {each.number for each in found.values()}
        left = [each for each in applied.values() if each.number not in used]
        found |= _continued(declarations, rest, left)
    for number in sorted(found):
        yield declarations[number], found[number]


def _continued(
    declarations: Sequence[Declaration], rest: Iterable[int], records: Iterable[DeclarationRecord]
) -> dict[int, DeclarationRecord]:
    """Which of `records` those of `declarations` at the places `rest` are compared with, by the rules."""
    said = {(each.manifest, _saying(each)) for each in declarations}
    taken = {(each.manifest, each.ordinal) for each in declarations}
    found: dict[int, DeclarationRecord] = {}
    waiting, left = list(rest), list(records)
    for rule, in_common in enumerate(_RULES, 1):
        if rule == 3:
            left = [each for each in left if (each.manifest, each.ordinal) in taken]
        if rule == 4:
            left = [each for each in left if (each.manifest, _saying(each)) not in said]
        fitting: dict[object, list[DeclarationRecord]] = {}
        for each in reversed(left):
            fitting.setdefault(in_common(each), []).append(each)
        for number in waiting:
            if candidates := fitting.get(in_common(declarations[number])):
                found[number] = candidates.pop()
        waiting = [number for number in waiting if number not in found]
        left = [each for candidates in fitting.values() for each in reversed(candidates)]
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

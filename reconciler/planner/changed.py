"""What changed in a declaration since it was applied, as a note that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.differences import describe, one_line
from reconciler.model.desired import DesiredTarget
from reconciler.model.diagnostic import Diagnostic, note
from reconciler.model.limits import Limits
from reconciler.model.tombstones import Projection, TargetRecord

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
    for declaration in (*declared.declarations, *declared.lapsed):
        before = applied.get((declaration.manifest, declaration.ordinal))
        if before is None:
            continue
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

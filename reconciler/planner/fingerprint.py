"""The digest of a plan that an approval binds to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from reconciler.model.desired import Desired
from reconciler.model.idset import IdSet
from reconciler.model.plan import SENDING, ActionKind, IndexPlan

_MOVES = frozenset({*SENDING, ActionKind.RELEASE})


def fingerprint(plans: Iterable[IndexPlan], desired: Desired, limits: dict[str, dict[str, float]]) -> str:
    """What an approval binds to: "sha256:" and 64 hex characters.

    Covers, for each target with anything to send or release or a prefix: origin, account, index, the pin, every
    id that would be sent with its action, releases, prefixes with their matches; the limits in force; the digests
    of manifests and id files. Not the time, not the position of the state, not what merely waits.
    """
    targets = []
    for plan in plans:
        moves = _moves(plan)
        prefixes = [[prefix.text, prefix.digest] for prefix in plan.prefixes]
        # A prefix may be listed for one manifest and not yet for another: None has no order.
        prefixes.sort(key=json.dumps)
        if moves or prefixes:
            target = plan.target
            targets.append(
                [
                    target.origin,
                    target.account_id,
                    target.index,
                    plan.created_on,
                    plan.observed_created_on,
                    moves,
                    prefixes,
                ],
            )
    document = {
        "version": 1,
        "targets": targets,
        "limits": limits,
        "files": [[file.path, file.sha256] for file in desired.files],
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _moves(plan: IndexPlan) -> dict[str, str]:
    """By kind of action: the digest of the ids that are sent or released."""
    found: dict[ActionKind, list[IdSet]] = {}
    for action in plan.actions:
        if action.kind in _MOVES:
            found.setdefault(action.kind, []).append(action.ids)
    return {kind: ids.digest() for kind, parts in found.items() if (ids := IdSet.union(parts))}

"""Plans made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.model.desired import FileDigest
from reconciler.model.idset import IdSet
from reconciler.model.plan import Action, ActionKind, ActionSource, IndexPlan, Plan, StateRef, Summary
from reconciler.model.target import Target

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
API = "https://api.cloudflare.com"


def target(index: str, account: str = ACCOUNT, origin: str = API) -> Target:
    return Target(origin, account, index)


def action(
    ids: Iterable[str] | IdSet,
    kind: ActionKind = ActionKind.DELETE,
    *sources: ActionSource,
    reason: str = "new",
) -> Action:
    places = sources or (ActionSource("manifests/gdpr.yaml", 7, "GDPR Art. 17, ticket PRIV-4711"),)
    return Action(kind, reason, places, ids if isinstance(ids, IdSet) else IdSet.of(ids))


def index_plan(where: Target, *actions: Action, unchanged: int = 0, **more: Any) -> IndexPlan:
    """An IndexPlan whose summary is what its actions count."""
    counts = {kind.value: sum(len(a.ids) for a in actions if a.kind is kind) for kind in ActionKind}
    counts["unchanged"] = unchanged
    sends = sum(counts[kind.value] for kind in ActionKind if kind.sends)
    return IndexPlan(where, None, Summary(**counts, requests=-(-sends // 100)), actions, **more)


def whole_plan(*indexes: IndexPlan, **more: Any) -> Plan:
    """A Plan whose summary is that of its indexes."""
    defaults: dict[str, Any] = {
        "fingerprint": "sha256:" + "5d" * 32,
        "state": StateRef("0b5e", 12, "ab" * 32),
        "files": (FileDigest("manifests/gdpr.yaml", "0c" * 32),),
        "observed": True,
        "complete": True,
        "summary": Summary.total(index.summary for index in indexes),
        "indexes": indexes,
    }
    return Plan(**(defaults | more))

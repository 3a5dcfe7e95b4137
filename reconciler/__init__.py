"""Declare which vector ids must be absent from Cloudflare Vectorize indexes; plan, apply and prove it.

    import reconciler

    context = reconciler.open_context(state="file:reconciler.state.jsonl")
    planned = reconciler.plan(context, ["manifests"])
    result = reconciler.apply(context, ["manifests"])

Names are resolved when they are first used: importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.errors import (
        AuthenticationFailed,
        ExitCode,
        IndexNotFound,
        Interrupted,
        ManifestError,
        PlanFileError,
        PlanRefused,
        PlanStale,
        ReconcilerError,
        RunFenced,
        ServiceError,
        StateError,
        StateHeld,
        StateMissing,
        UsageError,
    )
    from reconciler.model.desired import Desired
    from reconciler.model.diagnostic import Diagnostic, Severity
    from reconciler.model.idset import IdSet
    from reconciler.model.notices import Notice, Sink
    from reconciler.model.plan import Action, ActionKind, Plan
    from reconciler.model.target import Target
    from reconciler.model.tombstones import Projection, Status
    from reconciler.operations.applying import ApplyOptions, ApplyResult, apply
    from reconciler.operations.context import Context, load, open_context
    from reconciler.operations.interrupts import Interrupts
    from reconciler.operations.planning import Planned, plan, read_state
    from reconciler.operations.states import check_ids
    from reconciler.operations.verifying import VerifyResult, verify
    from reconciler.planfile import SavedPlan

__version__ = "0.1.0"

_HOMES = {
    "reconciler.errors": (
        "AuthenticationFailed",
        "ExitCode",
        "IndexNotFound",
        "Interrupted",
        "ManifestError",
        "PlanFileError",
        "PlanRefused",
        "PlanStale",
        "ReconcilerError",
        "RunFenced",
        "ServiceError",
        "StateError",
        "StateHeld",
        "StateMissing",
        "UsageError",
    ),
    "reconciler.model.desired": ("Desired",),
    "reconciler.model.diagnostic": (
        "Diagnostic",
        "Severity",
    ),
    "reconciler.model.idset": ("IdSet",),
    "reconciler.model.notices": (
        "Notice",
        "Sink",
    ),
    "reconciler.model.plan": (
        "Action",
        "ActionKind",
        "Plan",
    ),
    "reconciler.model.target": ("Target",),
    "reconciler.model.tombstones": (
        "Projection",
        "Status",
    ),
    "reconciler.operations.applying": (
        "ApplyOptions",
        "ApplyResult",
        "apply",
    ),
    "reconciler.operations.context": (
        "Context",
        "load",
        "open_context",
    ),
    "reconciler.operations.interrupts": ("Interrupts",),
    "reconciler.operations.planning": (
        "Planned",
        "plan",
        "read_state",
    ),
    "reconciler.operations.states": ("check_ids",),
    "reconciler.operations.verifying": (
        "VerifyResult",
        "verify",
    ),
    "reconciler.planfile": ("SavedPlan",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Action",
    "ActionKind",
    "ApplyOptions",
    "ApplyResult",
    "AuthenticationFailed",
    "Context",
    "Desired",
    "Diagnostic",
    "ExitCode",
    "IdSet",
    "IndexNotFound",
    "Interrupted",
    "Interrupts",
    "ManifestError",
    "Notice",
    "Plan",
    "PlanFileError",
    "PlanRefused",
    "PlanStale",
    "Planned",
    "Projection",
    "ReconcilerError",
    "RunFenced",
    "SavedPlan",
    "ServiceError",
    "Severity",
    "Sink",
    "StateError",
    "StateHeld",
    "StateMissing",
    "Status",
    "Target",
    "UsageError",
    "VerifyResult",
    "__version__",
    "apply",
    "check_ids",
    "load",
    "open_context",
    "plan",
    "read_state",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Resolve a public name on first use."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

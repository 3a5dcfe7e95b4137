"""`state report`: what became of the declarations of a ticket or of a manifest. Offline, from the state alone."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.errors import StateMissing, UsageError
from reconciler.model.diagnostic import Diagnostic
from reconciler.operations.context import Context
from reconciler.operations.planning import moved_away
from reconciler.state.chain import walk
from reconciler.state.proofs import Log, read
from reconciler.state.report import Report, report_of

#: How many reasons or manifests an error names.
_KNOWN = 20


@dataclass(frozen=True)
class Reported:
    """A report, the address of the store it was made from, and what its reader should know of that."""

    report: Report
    store: str
    notes: tuple[Diagnostic, ...] = ()


def report(
    context: Context, *, reason: str | None = None, manifest: str | None = None, index: str | None = None
) -> Reported:
    """The report of the declarations asked for, from the state alone. Takes no lock, makes no request.

    Args:
        context: see Context.
        reason: any part of a reason, upper or lower case.
        manifest: its path as recorded.
        index: of this index alone.

    Raises:
        StateMissing: there is no state, or an empty one.
        UsageError: no declaration matches; the hint names those there are.
        StateError: the state cannot be read, or does not verify.
    """
    store = context.store()
    try:
        log = read(walk(store.read(0))) if store.exists() else Log()
        if not log.projection.lineage:
            raise StateMissing(
                f"there is no state at {store.url}, or it is empty",
                hint="Nothing was deleted from here, or --state is another one.",
            )
        made = report_of(log, reason=reason, manifest=manifest, index=index)
        if not made.declarations:
            raise _nothing(log, reason=reason, manifest=manifest, index=index)
        return Reported(made, store.url, moved_away(log.projection, store))
    finally:
        store.close()


def _nothing(log: Log, *, reason: str | None, manifest: str | None, index: str | None) -> UsageError:
    """Why there is nothing to report, and what there would be."""
    asked = {"reason contains": reason, "manifest is": manifest, "index is": index}
    wanted = " and ".join(f"{what} {text!r}" for what, text in asked.items() if text is not None)
    declarations = log.projection.declarations.values()
    if not declarations:
        return UsageError("the state records no declaration", hint="No apply has recorded one yet.")
    if manifest is not None:
        kind, known = "manifests", {each.manifest for each in declarations}
    elif reason is not None:
        kind, known = "reasons", {each.reason for each in declarations}
    else:
        kind, known = "indexes", {log.projection.targets[each.target].target.index for each in declarations}
    shown = ", ".join(repr(each) for each in sorted(known)[:_KNOWN])
    more = f" and {len(known) - _KNOWN:,} more" if len(known) > _KNOWN else ""
    return UsageError(f"the state records no declaration whose {wanted}", hint=f"Recorded {kind}: {shown}{more}.")

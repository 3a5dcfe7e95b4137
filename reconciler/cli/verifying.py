"""`reconciler verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import output
from reconciler.cli.options import context_of, format_option, lock_timeout, surroundings, timeout

if TYPE_CHECKING:
    from reconciler.model.notices import Notice
    from reconciler.operations.verifying import VerifyResult


@click.command(
    epilog="""\b
Examples:
  reconciler verify
  reconciler verify --all --format json     # a nightly audit: exit 4 when ids are back
"""
)
@click.option("--all", "audit", is_flag=True, help="Read every tombstone again, those verified before too.")
@timeout(600.0)
@lock_timeout
@surroundings
@format_option("text", "json")
def verify(
    *,
    audit: bool,
    timeout: float,
    lock_timeout: float,
    state: str | None,
    config: str | None,
    base_url: str | None,
    form: str,
) -> int:
    """Prove by reading that what was deleted is gone. Never deletes.

    Settles what is pending, from the state alone, in any later process. Exit 4 when ids are present that should
    be gone, 7 when something is not verified in time.
    """
    from reconciler.cli.interrupts import signals
    from reconciler.cli.progress import sink
    from reconciler.model.notices import RunBegan, Waiting
    from reconciler.operations.verifying import verify as prove

    with sink(form) as heartbeat, signals() as stop:

        def notify(notice: Notice) -> None:
            if isinstance(notice, RunBegan | Waiting):
                stop.orderly = isinstance(notice, RunBegan)
            heartbeat(notice)

        context = context_of(state=state, config=config, base_url=base_url)
        result = prove(
            context,
            audit=audit,
            timeout=timeout,
            lock_timeout=lock_timeout,
            notify=notify,
            interrupts=stop.interrupts,
        )
    with output.outcome_of_a_run():
        _tell(result, form, audit=audit)
    return result.exit_code


def _tell(result: VerifyResult, form: str, *, audit: bool) -> None:
    from reconciler.cli.progress import tell_errors, write_event
    from reconciler.render import summary

    tell_errors(result.errors, form)
    back = sum(len(ids) for _, ids in result.reappeared)
    headline = summary.verify_line(
        verified=result.verified,
        pending=result.pending,
        unresolved=result.unresolved,
        reappeared=back,
        audited=audit,
    )
    if form == "json":
        event = {
            "verified": result.verified,
            "pending": result.pending,
            "unresolved": result.unresolved,
            "reappeared": back,
            "found": _found(result),
            "requests": result.requests,
            "head": result.head,
            "exit_code": int(result.exit_code),
        }
        write_event("summary", headline, event)
        return
    found = summary.reappeared_lines(result.reappeared, result.proofs)
    output.tell(*found, headline, f"State head: {result.head}")


def _found(result: VerifyResult) -> list[dict[str, Any]]:
    """The reappeared ids that text names, with what is known of each."""
    from reconciler.operations.verifying import NAMED

    rows = []
    for target, ids in result.reappeared:
        for each in ids.first(NAMED):
            proof = result.proofs.get(target, {}).get(each)
            declared = () if proof is None else proof.declarations
            rows.append({
                "account_id": target.account_id,
                "index": target.index,
                "id": each,
                "proven_at": None if proof is None else proof.at,
                "how": None if proof is None else proof.how,
                "mutation_id": None if proof is None else proof.mutation_id,
                "declared": [{"path": d.manifest, "line": d.line, "reason": d.reason} for d in declared],
            })  # fmt: skip
    return rows

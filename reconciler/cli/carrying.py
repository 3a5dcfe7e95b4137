"""What an apply shows and asks on its way, and what it says at its end."""

from __future__ import annotations

from dataclasses import replace

from reconciler.cli import output
from reconciler.cli.asking import answered, confirmed
from reconciler.cli.failures import say
from reconciler.cli.interrupts import Signals
from reconciler.cli.presenting import show_plan
from reconciler.cli.progress import Heartbeat, tell_errors, write_event
from reconciler.errors import PlanRefused
from reconciler.model.notices import Notice, Problem, RunBegan, Waiting
from reconciler.model.plan import Plan
from reconciler.operations.applying import ApplyResult
from reconciler.operations.context import Context
from reconciler.operations.planning import Planned, no_state
from reconciler.render import summary


class Apply:
    """What an apply shows and asks on its way; also its sink."""

    def __init__(
        self,
        context: Context,
        form: str,
        heartbeat: Heartbeat,
        stop: Signals,
        *,
        asks: bool,
        reason: str,
    ) -> None:
        self._context = context
        self._form = form
        self._heartbeat = heartbeat
        self._stop = stop
        self._asks = asks
        self._reason = reason

    def __call__(self, notice: Notice) -> None:
        """See Sink. While it waits for the state nothing is recorded: a signal ends it at once."""
        if isinstance(notice, RunBegan | Waiting):
            self._stop.orderly = isinstance(notice, RunBegan)
        self._heartbeat(notice)

    def approve(self, planned: Planned) -> bool:
        """Show the plan, and ask if somebody is to be asked.

        Raises:
            AuthenticationFailed: nobody is asked for what could not be done.
            UsageError: there is nobody to ask.
        """
        with self._heartbeat.paused():
            self._show(planned)
            self._context.require_credentials()
            agreed = _confirmed(planned.plan) if self._asks else True
            if agreed and planned.plan.refused and not self._reason:
                say("\nLimits refuse this plan. Why are they ignored?")
                say("  Your answer is recorded in the state, with your name.\n")
                self._reason = answered("  Reason: ")
        self._stop.orderly = agreed
        return agreed

    def why(self) -> str:
        """Why limits are passed over; "" when nobody said."""
        return self._reason

    def show_refused(self, refused: PlanRefused) -> None:
        """A refused plan shows all its actions like any other, before the error."""
        if self._form == "text" and isinstance(refused.plan, Plan):
            show_plan(refused.plan)

    def _show(self, planned: Planned) -> None:
        plan = planned.plan
        if not planned.projection.lineage:
            plan = replace(plan, diagnostics=(*plan.diagnostics, no_state(self._context.store())))
        if self._form == "text":
            show_plan(plan)
            return
        event = {
            "fingerprint": plan.fingerprint,
            "summary": plan.summary.as_dict(),
            "state": {"lineage": plan.state.lineage, "position": plan.state.position},
        }
        write_event("plan", "the plan to carry out", event)
        for diagnostic in plan.diagnostics:
            self._heartbeat(Problem(diagnostic))


def _confirmed(plan: Plan) -> bool:
    """Only the word yes approves. A closed stdin is an error, never a yes."""
    from reconciler.render.plan_rows import ids, ids_are

    summary = plan.summary
    question = "Do you want to record this?"
    if summary.sends:
        what = "1 vector" if summary.sends == 1 else f"{summary.sends:,} vectors"
        question = f"Do you want to delete {what}{', over the limits' if plan.refused else ''}?"
    elif summary.release:
        they = "It is" if summary.release == 1 else "They are"
        question = f"Do you want to release {ids(summary.release)}? {they} not enforced or audited any more."
    released = f" {ids_are(summary.release)} released." if summary.sends and summary.release else ""
    undo = "There is no undo. " if summary.sends else ""
    return confirmed(
        f"{question}{released}",
        undo,
        hint="Apply a saved plan, or add --auto-approve. Nothing was sent.",
    )


def tell(result: ApplyResult, form: str) -> None:
    tell_errors(result.errors, form)
    counts = {
        "accepted": result.accepted,
        "batches": result.batches,
        "requests": result.requests,
        "verified": result.verified,
        "pending": result.pending,
        "rejected": result.rejected,
        "unknown": result.unknown,
        "reappeared": result.reappeared,
        "released": result.released,
        "already_absent": result.plan.summary.already_absent,
        "recorded": result.recorded,
    }
    if form == "json":
        headline = (
            f"{result.accepted:,} ids accepted, {result.verified:,} verified absent, {result.pending:,} pending"
        )
        write_event("summary", headline, {**counts, "head": result.head, "exit_code": int(result.exit_code)})
    elif not (result.plan.changes_ids or result.plan.pending or result.recorded):
        show_plan(result.plan)
    else:
        output.tell(*summary.outcome_lines(**counts, head=result.head))

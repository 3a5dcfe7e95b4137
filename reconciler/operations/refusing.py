"""What forbids that a plan is carried out, and what a person at a prompt may pass over: limits, never a keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.errors import ManifestError, PlanRefused, UsageError
from reconciler.model.diagnostic import Diagnostic, Severity, has_errors
from reconciler.model.plan import Plan
from reconciler.operations.planning import Planned
from reconciler.planner.checks import LIMIT_CODES
from reconciler.state.events import LimitsIgnored
from reconciler.state.identity import printable
from reconciler.state.run import whoami

#: Says why limits are passed over, after a person approved the plan that they refuse; "" when they are not.
Why = Callable[[], str]


def check(planned: Planned, *, ignore_limits: bool = False) -> None:
    """Whether a plan may be carried out at all.

    Args:
        planned: the plan.
        ignore_limits: a person may pass over its limits; never over a keep.

    Raises:
        ManifestError: the manifests cannot be used.
        PlanRefused: a limit or a keep forbids it.
    """
    plan = planned.plan
    check_manifests(plan.diagnostics)
    refused_for = {each.code for each in plan.diagnostics if each.severity is Severity.REFUSAL}
    if refused_for - LIMIT_CODES or (refused_for and not ignore_limits):
        raise PlanRefused("the plan is refused: nothing was sent", diagnostics=plan.diagnostics, plan=plan)
    unresolved = {index.target for index in plan.indexes for prefix in index.prefixes if prefix.count is None}
    if unresolved - set(planned.missing):
        raise ManifestError(
            "a prefix was never listed, so what it matches is not known: nothing was sent",
            hint="Run plan --refresh --out FILE and apply that.",
            diagnostics=plan.diagnostics,
        )


def check_manifests(diagnostics: tuple[Diagnostic, ...]) -> None:
    """Whether what was loaded can be used.

    Raises:
        ManifestError: one of the diagnostics is an error.
    """
    if has_errors(diagnostics):
        raise ManifestError("the manifests cannot be used: nothing was done", diagnostics=diagnostics)


def ignored_limits(plan: Plan, why: Why | None, environment: Mapping[str, str]) -> LimitsIgnored | None:
    """What is recorded before anything is sent of a plan that limits refuse; None when they do not.

    Args:
        plan: that `check` let pass, and a person approved.
        why: called for the reason.
        environment: says who it is, with the machine.

    Raises:
        UsageError: no reason was given.
    """
    if not plan.refused:
        return None
    reason = printable("" if why is None else why()).strip()
    if not reason:
        raise UsageError("apply cancelled: no reason was given", hint="Nothing was sent or recorded.")
    who = whoami(environment)
    return LimitsIgnored(f"{who['actor']} on {who['host']}", reason, _refusals(plan))


def check_ignored(plan: Plan, ignored: LimitsIgnored | None) -> None:
    """Whether a plan that was made again is refused by nothing but what a person passed over.

    Raises:
        PlanRefused: by something that they were not shown.
    """
    if set(_refusals(plan)) - set(() if ignored is None else ignored.limits):
        raise PlanRefused(
            "the state changed during the approval, and a limit refuses the plan as it is now: nothing was sent",
            hint="Run it again.",
            diagnostics=plan.diagnostics,
            plan=plan,
        )


def _refusals(plan: Plan) -> list[str]:
    return [each.summary for each in plan.diagnostics if each.severity is Severity.REFUSAL]

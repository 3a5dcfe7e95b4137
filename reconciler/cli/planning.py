"""`reconciler plan`."""

from __future__ import annotations

import re
import shlex
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli.failures import report_diagnostics, say
from reconciler.cli.options import PATH, context_of, format_option, surroundings
from reconciler.cli.presenting import FORMATS, Presented, check_max_bytes, max_bytes_option, present
from reconciler.errors import ExitCode, UsageError, worst_exit_code

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from reconciler.model.plan import Plan
    from reconciler.operations.planning import Planned

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _duration(text: str) -> timedelta:
    """`30m`, `24h` or `7d`, at most 366 days."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta.max
    if length > timedelta(days=366):
        raise click.BadParameter(f"{text!r} is not a duration such as 30m, 24h or 7d, at most 366d.")
    return length


@click.command(
    epilog="""\b
Examples:
  reconciler plan
  reconciler plan manifests/gdpr.yaml --detailed-exitcode
  reconciler plan --refresh --out erasure.plan.json
  reconciler plan --out erasure.plan.json --expires 24h
  reconciler plan --format json | jq .summary
  reconciler plan --out erasure.plan.json --format markdown > comment.md
"""
)
@click.argument("paths", nargs=-1, type=PATH, metavar="[PATHS]...")
@click.option("--out", type=PATH, metavar="FILE", help="Save the plan, for `reconciler apply FILE`. Mode 0600.")
@click.option(
    "--expires",
    type=_duration,
    metavar="DURATION",
    help="30m, 24h, 7d: apply does not begin the saved plan after that (default: it does not expire).",
)
@click.option(
    "--refresh", is_flag=True, help="Read the live indexes first. Needs credentials (a read token will do)."
)
@click.option("--target", "only", metavar="INDEX", help="Plan this index alone. The plan is marked incomplete.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes.")
@click.option("--fail-on-reappeared", is_flag=True, help="Exit 4 when ids are present again.")
@click.option("--verbose", is_flag=True, help="List every id and every warning.")
@surroundings
@format_option(*FORMATS)
@max_bytes_option
def plan(
    *,
    paths: tuple[str, ...],
    out: str | None,
    expires: timedelta | None,
    refresh: bool,
    only: str | None,
    detailed_exitcode: bool,
    fail_on_reappeared: bool,
    verbose: bool,
    state: str | None,
    config: str | None,
    base_url: str | None,
    form: str,
    max_bytes: int | None,
) -> int:
    """Show what apply would do.

    Compares the manifests in PATHS (default: those of the configuration) with the state. Without --refresh it
    needs no network and no credentials. Records nothing and takes no lock.
    """
    from reconciler.operations.planning import plan as make
    from reconciler.planfile import SavedPlan, write

    check_max_bytes(max_bytes, form)
    if expires is not None and out is None and form != "json":
        raise UsageError("--expires is about a saved plan", hint="Save it with --out FILE.")
    context = context_of(state=state, config=config, base_url=base_url)
    with _progress() if refresh else nullcontext():  # reading a large index takes a while
        planned = make(context, paths, refresh=refresh, only=only)
    now = context.clock.now()
    until = None if expires is None else now + expires
    saved = SavedPlan(planned.plan, __version__, now, planned.paths, only, until)
    digest = ""
    if out is not None:
        digest = write(
            out,
            planned.plan,
            tool_version=__version__,
            created_at=now,
            paths=planned.paths,
            only=only,
            expires_at=until,
        )
    code = plan_exit_code(planned.plan, detailed=detailed_exitcode, reappeared=fail_on_reappeared)
    if form != "text" or not planned.plan.errored:
        present(Presented(saved, out or "", digest, code, verbose, max_bytes), form)
    _footer(planned, out, until)
    return code


def _progress() -> AbstractContextManager[object]:
    from reconciler.cli.progress import sink

    return sink()


def _footer(planned: Planned, out: str | None, until: datetime | None) -> None:
    """What became of the plan, on stderr; also where its problems are, for whoever sent stdout elsewhere."""
    from reconciler.clock import timestamp
    from reconciler.model.diagnostic import Severity
    from reconciler.render.escape import plain

    plan = planned.plan
    saved = "" if out is None else f"\nSaved the plan to: {plain(out)}"
    if saved and until is not None:
        saved += f" (expires at {timestamp(until)})"
    if missing := sum(any(a.reason == "index-missing" for a in index.actions) for index in plan.indexes):
        indexes = "1 index does" if missing == 1 else f"{missing:,} indexes do"
        say(f"Error: {indexes} not exist: nothing can be done there.")
    if plan.applyable:
        if out is None:
            say("\nNote: this plan was not saved. apply plans again; --out FILE saves exactly this one.")
        else:
            say(f"{saved}\nTo carry out exactly these actions:\n  reconciler apply {plain(shlex.quote(out))}")
        return
    if saved:
        say(saved)
        if plan.unresolved_prefixes and not (plan.errored or plan.refused):
            say("apply will refuse it: a prefix was never listed. reconciler plan --refresh --out FILE lists it.")
        elif not (plan.errored or plan.refused):
            say("There is nothing in it to apply.")
    if plan.errored:
        # What could be read is not all that is declared: no list of actions that somebody might take for one.
        report_diagnostics(each for each in plan.diagnostics if each.severity is not Severity.NOTE)
        say("Error: the manifests cannot be used: there is no plan.")
    elif plan.refused:
        report_diagnostics(each for each in plan.diagnostics if each.severity is Severity.REFUSAL)
        say("Error: the plan is refused: apply would send nothing.")


def plan_exit_code(made: Plan, *, detailed: bool = False, reappeared: bool = False) -> ExitCode:
    """What `plan` exits with."""
    codes = []
    if made.errored or any(action.reason == "index-missing" for _, action in made.actions()):
        codes.append(ExitCode.ERROR)
    if made.refused:
        codes.append(ExitCode.REFUSED)
    if reappeared and made.summary.reappeared:
        codes.append(ExitCode.FOUND)
    if detailed and made.changes:
        codes.append(ExitCode.CHANGES)
    return worst_exit_code(*codes)

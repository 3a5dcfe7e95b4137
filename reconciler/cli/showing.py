"""`reconciler show`: a saved plan, and what it does that another does not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli import output
from reconciler.cli.failures import say
from reconciler.cli.options import PATH, format_option
from reconciler.cli.presenting import FORMATS, Presented, check_max_bytes, max_bytes_option, present
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.planfile import SavedPlan

_AGAINST_FORMATS = ("text", "json", "markdown")


@click.command(
    epilog="""\b
Examples:
  reconciler show erasure.plan.json
  reconciler show erasure.plan.json --verbose
  reconciler show erasure.plan.json --format markdown --max-bytes 32000
  reconciler show head.plan.json --against base.plan.json
  reconciler show head.plan.json --against base.plan.json --format markdown --max-bytes 15000
"""
)
@click.argument("planfile", type=PATH)
@click.option(
    "--against", type=PATH, metavar="OTHERPLAN", help="Show what PLANFILE does that this plan does not, and back."
)
@click.option("--verbose", is_flag=True, help="List every id and every warning.")
@format_option(*FORMATS)
@max_bytes_option
def show(planfile: str, against: str | None, verbose: bool, form: str, max_bytes: int | None) -> int:
    """Show a saved plan. Reads nothing but the files named.

    With --against: which actions PLANFILE has and OTHERPLAN has not. Of the plan of a pull request's head against
    that of its base this is what it introduces; what both have was pending anyway.
    """
    check_max_bytes(max_bytes, form)
    if against is not None and form not in _AGAINST_FORMATS:
        hint = f"--against knows --format {', '.join(_AGAINST_FORMATS)}."
        raise UsageError(f"--format {form} does not go with --against", hint=hint)
    saved = read_whole(planfile)
    if against is not None:
        _show_against(saved, read_whole(against), verbose=verbose, form=form, max_bytes=max_bytes)
        return ExitCode.DONE
    present(Presented(saved, planfile, saved.sha256, ExitCode.DONE, verbose, max_bytes), form)
    if form == "text" and saved.expires_at is not None:
        from reconciler.clock import timestamp

        say(f"Expires at {timestamp(saved.expires_at)}: apply does not begin it after that.")
    return ExitCode.DONE


def read_whole(path: str) -> SavedPlan:
    """A plan as it was made: what a reviewer is told, and the fingerprint beside it, rest on it."""
    from reconciler.operations.approval import check_whole
    from reconciler.planfile import read

    saved = read(path)
    check_whole(saved)
    return saved


def _show_against(saved: SavedPlan, other: SavedPlan, *, verbose: bool, form: str, max_bytes: int | None) -> None:
    from reconciler.model.comparison import compare
    from reconciler.operations.comparing import TWO_PLANS, inputs_that_differ
    from reconciler.render import comparison
    from reconciler.render.lines import write_coloured

    found = compare(saved.plan, other.plan)
    inputs = inputs_that_differ(other.plan, saved.plan, TWO_PLANS)
    if form == "json":
        output.write(comparison.comparison_json(found, inputs))
    elif form == "markdown":
        from reconciler.render.comparison_markdown import document
        from reconciler.render.plan_markdown import DEFAULT_BYTES

        output.write([document(found, inputs, max_bytes=max_bytes or DEFAULT_BYTES, verbose=verbose)])
    else:
        with output.writing():
            write_coloured(comparison.comparison_lines(found, inputs, verbose=verbose), sys.stdout)
            sys.stdout.flush()

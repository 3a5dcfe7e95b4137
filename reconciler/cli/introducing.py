"""`reconciler forge introduced`: what a pull request adds to what was pending anyway."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import output
from reconciler.cli.failures import diagnostics_of, say
from reconciler.cli.options import PATH, context_of, surroundings
from reconciler.errors import ExitCode, ReconcilerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.model.diagnostic import Diagnostic
    from reconciler.model.plan import Plan
    from reconciler.planfile import SavedPlan

_COMMIT = re.compile(r"[0-9a-f]{40,64}")


@click.command(
    short_help="Say what a pull request adds to what was pending anyway.",
    epilog="""\b
Examples:
  git worktree add --detach ../base BASE
  reconciler forge introduced plan.json --tree ../base --commit BASE > introduced.md
  reconciler forge introduced plan.json --unplanned "the commit cannot be fetched" > introduced.md
""",
)
@click.argument("planfile", type=PATH)
@click.argument("paths", nargs=-1, type=PATH, metavar="[PATHS]...")
@click.option("--tree", type=PATH, metavar="FOLDER", help="A checkout of the base.")
@click.option("--folder", type=PATH, default="", metavar="FOLDER", help="The working folder within --tree.")
@click.option("--unplanned", metavar="WHY", help="There is no such checkout: say so.")
@click.option("--commit", default="", metavar="SHA", help="Of the base.")
@click.option("--refresh", is_flag=True, help="Read the live indexes for the base too, as for PLANFILE.")
@click.option("--max-bytes", type=int, metavar="N", help="At most so many bytes of Markdown (default 15000).")
@surroundings
def introduced(
    *,
    planfile: str,
    paths: tuple[str, ...],
    tree: str | None,
    folder: str,
    unplanned: str | None,
    commit: str,
    refresh: bool,
    max_bytes: int | None,
    state: str | None,
    config: str | None,
    base_url: str | None,
) -> int:
    """Say, as Markdown, what PLANFILE does that the plan of the pull request's base does not.

    PLANFILE was made here, of the head. The base is planned from the files in --tree with the same PATHS and
    configuration, against the same state. Exits 0 when that cannot be done, too: then the Markdown says why.
    Nothing is written for a PLANFILE of manifests that cannot be used.
    """
    from reconciler.forge import introduced as texts
    from reconciler.planfile import read

    if (tree is None) == (unplanned is None):
        raise click.UsageError("give --tree or --unplanned")
    if commit and not _COMMIT.fullmatch(commit):
        raise UsageError("--commit is not the name of a commit", hint="Give it in full.")
    limit = texts.DEFAULT_BYTES if max_bytes is None else max_bytes
    if limit < texts.LEAST_BYTES:
        raise UsageError(f"--max-bytes {limit:,} is too small", hint=f"{texts.LEAST_BYTES:,} hold every count.")
    head = read(planfile)
    if head.plan.errored:
        return ExitCode.DONE
    if tree is None:
        output.write([_unknown([unplanned or ""], commit)])
        return ExitCode.DONE
    try:
        context = context_of(state=state, config=config, base_url=base_url)
        from reconciler.cli.progress import sink
        from reconciler.operations.basing import plan_of

        made = sum(index.read_requests for index in head.plan.indexes)
        with sink() if refresh else nullcontext():
            planned = plan_of(
                Path(tree), context, folder=folder, config=config, paths=paths, refresh=refresh, made=made
            )
        text = (
            _unknown(_told(planned.plan.diagnostics), commit)
            if planned.plan.errored
            else _compared(head, planned.plan, commit, limit)
        )
    except ReconcilerError as failed:  # a reviewer learns it; the job is about the head
        text = _unknown([*_told(diagnostics_of(failed)), failed.message], commit)
    output.write([text])
    return ExitCode.DONE


def _compared(head: SavedPlan, base: Plan, commit: str, limit: int) -> str:
    from reconciler.forge.introduced import introduced as told
    from reconciler.model.comparison import compare
    from reconciler.operations.approval import check_whole
    from reconciler.operations.comparing import BASE_AND_HEAD, inputs_that_differ

    check_whole(head)
    inputs = inputs_that_differ(base, head.plan, BASE_AND_HEAD)
    return told(compare(head.plan, base), inputs, commit, max_bytes=limit)


def _unknown(reasons: Sequence[str], commit: str) -> str:
    from reconciler.forge.introduced import unknown
    from reconciler.render.escape import plain

    say("Warning: the base of the pull request could not be planned:")
    for reason in reasons:
        say(f"  {plain(reason)}")
    return unknown(reasons, commit)


def _told(found: Iterable[Diagnostic]) -> list[str]:
    from reconciler.model.diagnostic import Severity

    errors = [each for each in found if each.severity is Severity.ERROR]
    return [f"{each.position}: {each.summary}" if each.position else each.summary for each in errors]

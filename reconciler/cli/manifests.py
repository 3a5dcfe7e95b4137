"""`reconciler validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import output
from reconciler.cli.failures import report_diagnostics, say
from reconciler.cli.options import PATH, config, context_of, format_option
from reconciler.errors import ExitCode, ManifestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.desired import Desired
    from reconciler.model.diagnostic import Diagnostic


@click.command(
    epilog="""\b
Examples:
  reconciler validate
  reconciler validate manifests/gdpr.yaml --format json
  reconciler validate --format github       # annotations on a pull request
"""
)
@click.argument("paths", nargs=-1, type=PATH, metavar="[PATHS]...")
@config
@format_option("text", "json", "github")
def validate(paths: tuple[str, ...], config: str | None, form: str) -> int:
    """Check manifests and configuration, offline.

    PATHS are manifests or folders; without any, those of the configuration (manifests/). Every problem is
    reported at once, as path:line:column. Exit 1 when one of them is an error.
    """
    from reconciler.model.diagnostic import Severity, has_errors

    desired, found = _load(paths, config)
    ids = sum(len(target.ids) for target in desired.targets)
    files = _manifests(desired)
    if form == "json":
        from reconciler.render.diagnostics import json_document

        output.tell(json_document(found, manifests=files, ids=ids))
    elif form == "github":
        from reconciler.render.github import annotate

        output.tell(*annotate(found))
    else:
        report_diagnostics(found)
        if not has_errors(found):
            output.tell(
                f"Valid: {_number(files, 'manifest')} with {_number(ids, 'id')} to be absent "
                f"from {_number(len(desired.targets), 'index', 'indexes')}."
            )
    if has_errors(found):
        say(f"Error: {_number(sum(each.severity is Severity.ERROR for each in found), 'problem')} found.")
        return ExitCode.ERROR
    return ExitCode.DONE


def _load(paths: Sequence[str], config: str | None) -> tuple[Desired, tuple[Diagnostic, ...]]:
    """What the manifests say, and every problem, those of the configuration first."""
    from reconciler.model.desired import Desired
    from reconciler.model.diagnostic import Diagnostic, Severity
    from reconciler.operations.context import load

    try:
        context = context_of(config=config)
    except ManifestError as unusable:
        diagnostics = tuple(each for each in unusable.diagnostics if isinstance(each, Diagnostic))
        return Desired(), diagnostics
    desired = load(context, paths, conflicts=Severity.ERROR)
    return desired, (*context.diagnostics, *(_offline(each) for each in desired.diagnostics))


def _offline(diagnostic: Diagnostic) -> Diagnostic:
    """Which account is meant may be said by the environment of the run that plans; here it need not be known."""
    if diagnostic.code == "account-missing":
        from dataclasses import replace

        from reconciler.model.diagnostic import Severity

        return replace(diagnostic, severity=Severity.NOTE)
    return diagnostic


def _manifests(desired: Desired) -> int:
    """How many of the files that were read are manifests; the others are id files that they name."""
    declarations = [part for target in desired.targets for part in (*target.declarations, *target.lapsed)]
    lists = [*(part.sources for part in declarations), *(keep.sources for keep in desired.keeps)]
    sides = {source.position.path for sources in lists for source in sources if source.kind == "file"}
    return sum(file.path not in sides for file in desired.files)


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"

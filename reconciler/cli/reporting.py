"""`reconciler state report`."""

from __future__ import annotations

import click

from reconciler.cli import output
from reconciler.cli.failures import say
from reconciler.cli.options import context_of, format_option, surroundings
from reconciler.errors import ExitCode


@click.command(
    short_help="Say what became of a ticket or a manifest.",
    epilog="""\b
Examples:
  reconciler state report --reason PRIV-4711
  reconciler state report --manifest manifests/gdpr.yaml --format markdown
  reconciler state report --index support-articles --format json
""",
)
@click.option("--reason", metavar="TEXT", help="Declarations whose reason contains TEXT, in upper or lower case.")
@click.option("--manifest", metavar="PATH", help="Declarations of this manifest; its path as it was recorded.")
@click.option("--index", metavar="INDEX", help="This index alone.")
@surroundings
@format_option("text", "json", "markdown")
def report(
    *,
    reason: str | None,
    manifest: str | None,
    index: str | None,
    state: str | None,
    config: str | None,
    base_url: str | None,
    form: str,
) -> int:
    """Say what became of declarations: which ids, which mutations, proven absent when and how, what is open.

    Offline, from the state alone. Without a choice: every declaration that the state records. Exit 0 says that the
    report was made; whether all is done is its first line.
    """
    from reconciler.operations import reporting as operations
    from reconciler.render import report as lines
    from reconciler.render.escape import plain

    for flag, value in (("--reason", reason), ("--manifest", manifest), ("--index", index)):
        if value == "":
            raise click.UsageError(f"{flag} is empty")
    if reason is not None and manifest is not None:
        raise click.UsageError("--reason and --manifest: give one of them")
    context = context_of(state=state, config=config, base_url=base_url)
    made = operations.report(context, reason=reason, manifest=manifest, index=index)
    for found in made.notes:
        say(f"Note: {plain(found.summary)}. {plain(found.detail)}")
    if form == "json":
        output.write(lines.report_json(made.report, store=made.store))
    else:
        write = lines.report_text if form == "text" else lines.report_markdown
        output.write(f"{line}\n" for line in write(made.report, store=made.store))
    return ExitCode.DONE

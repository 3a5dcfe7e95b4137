"""`reconciler state …`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli import moving, output, reporting
from reconciler.cli.failures import say
from reconciler.cli.options import context_of, format_option, surroundings
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.tombstones import Projection
    from reconciler.operations.context import Context
    from reconciler.state.history import HistoryEntry


@click.group(
    epilog="""\b
Examples:
  reconciler state show
  reconciler state verify --head 12:5d41402abc4b2a76b9719d911017c592…
  RECONCILER_STATE=file:erasures.state.jsonl reconciler state init
"""
)
def state() -> None:
    """Create, show, verify, move and unlock the state: the log of what must not exist any more."""


for command in (moving.pull, moving.push, moving.migrate, moving.repair, reporting.report):
    state.add_command(command)


@state.command(epilog="\b\nExample:\n  reconciler state init --state file:erasures.state.jsonl\n")
@surroundings
def init(state: str | None, config: str | None, base_url: str | None) -> int:
    """Create an empty state."""
    from reconciler.operations import states as operations
    from reconciler.render.escape import plain

    context = context_of(state=state, config=config, base_url=base_url)
    projection = operations.init(context)
    with closing(context.store()) as store:
        output.tell(f"Created the state {plain(store.url)}")
    _tell_head(projection)
    return ExitCode.DONE


@state.command(
    short_help="Show what the state remembers.",
    epilog="""\b
Examples:
  reconciler state show
  reconciler state show --id 'doc-000017#chunk-00'
  reconciler state show --index support-articles --format json
  reconciler state show --format html > state.html
""",
)
@click.option("--id", "id_", metavar="ID", help="The history of one id: every mutation and every read.")
@click.option("--index", metavar="INDEX", help="This index alone.")
@surroundings
@format_option("text", "json", "html")
def show(
    *, id_: str | None, index: str | None, state: str | None, config: str | None, base_url: str | None, form: str
) -> int:
    """Show what the state remembers: every index, every mutation, every count."""
    from reconciler.operations.planning import read_state
    from reconciler.operations.states import history_of

    context = context_of(state=state, config=config, base_url=base_url)
    if id_ is not None:
        text = _history(context, id_, history_of(context, id_, index), form)
    else:
        projection = read_state(context)
        _note(context, projection)
        text = _state(context, projection, index, form)
    output.write((f"{line}\n" for line in text) if form == "text" else text)
    return ExitCode.DONE


def _history(context: Context, id_: str, entries: list[HistoryEntry], form: str) -> Iterator[str]:
    if form == "html":
        from reconciler.render.html import history_page

        return history_page(entries, id_=id_, tool_version=__version__, created_at=context.clock.now())
    from reconciler.render import state as lines

    return lines.history_json(entries) if form == "json" else lines.history_text(entries)


def _state(context: Context, projection: Projection, index: str | None, form: str) -> Iterator[str]:
    if form == "html":
        from reconciler.render.html import state_page

        with closing(context.store()) as store:
            url = store.url
        now = context.clock.now()
        return state_page(projection, store=url, tool_version=__version__, created_at=now, index=index)
    from reconciler.render import state as lines

    if form == "json":
        return lines.state_json(projection, index=index)
    return lines.state_text(projection, index=index)


@state.command(
    short_help="Check the hash chain, and a head that you kept.",
    epilog="""\b
Examples:
  reconciler state verify
  reconciler state verify --head 12:5d41402abc4b2a76b9719d911017c592…
""",
)
@click.option("--head", metavar="POS:HASH", help="A head that you kept: nothing before it may have changed.")
@surroundings
def verify(head: str | None, state: str | None, config: str | None, base_url: str | None) -> int:
    """Check the hash chain of the whole log, and compare it with a head that you kept."""
    from reconciler.operations.states import check_head, verify_chain
    from reconciler.render.escape import plain

    context = context_of(state=state, config=config, base_url=base_url)
    if head is not None:
        projection = check_head(context, head)
        output.tell(f"Nothing up to {plain(head)} has changed.")
    else:
        projection = verify_chain(context)
    _note(context, projection)
    output.tell(
        f"The chain of {projection.position:,} {'frame' if projection.position == 1 else 'frames'} is intact."
    )
    _tell_head(projection)
    return ExitCode.DONE


@state.command(
    short_help="Take the state away from a run that is dead.",
    epilog="\b\nExample:\n  reconciler state unlock 0f3c… --reason 'the runner was shut down, PRIV-4711'\n",
)
@click.argument("run")
@click.option("--reason", required=True, help="Recorded in the log: why this run is taken over.")
@surroundings
def unlock(run: str, reason: str, state: str | None, config: str | None, base_url: str | None) -> int:
    """Take the state away from RUN, which holds it.

    RUN can start no further request after that. Needs the exact id, as exit 5 prints it.
    """
    from reconciler.operations import states as operations
    from reconciler.render.escape import plain

    if not reason.strip():
        raise click.UsageError("--reason must say why")
    context = context_of(state=state, config=config, base_url=base_url)
    projection = operations.unlock(context, run, reason)
    output.tell(f"Run {plain(run)} does not hold the state any more.")
    _tell_head(projection)
    return ExitCode.DONE


def _tell_head(projection: Projection) -> None:
    output.tell(f"State head: {projection.position}:{projection.head}")


def _note(context: Context, projection: Projection) -> None:
    """On stderr: there is no state; or this one is history."""
    from reconciler.operations.planning import moved_away
    from reconciler.render.escape import plain

    with closing(context.store()) as store:
        if not projection.lineage:
            say(f"Note: there is no state at {plain(store.url)}, or it is empty.")
        for found in moved_away(projection, store):
            say(f"Note: {plain(found.summary)}. {plain(found.detail)}")

"""`reconciler state pull|push|migrate|repair`: the log as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import output
from reconciler.cli.asking import confirmed
from reconciler.cli.failures import say
from reconciler.cli.options import PATH, context_of, lock_timeout, surroundings
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.state.repairing import Damage


@click.command(
    short_help="Print the log, byte for byte.",
    epilog="""\b
Examples:
  reconciler state pull > backup.jsonl
  reconciler state pull --state s3://bucket/erasures | tail -n 1
""",
)
@surroundings
def pull(state: str | None, config: str | None, base_url: str | None) -> int:
    """Print the log as it is stored, byte for byte, every frame verified before it is printed.

    A copy that is kept is a backup: `state migrate --state file:COPY --to URL` puts it where a store was lost.
    """
    from reconciler.operations import moving as operations

    context = context_of(state=state, config=config, base_url=base_url)
    output.write_bytes(operations.pull(context))
    return ExitCode.DONE


@click.command(
    short_help="Record outcomes that a run could not.",
    epilog="\b\nExample:\n  reconciler state push reconciler-unsaved-0f3c….jsonl\n",
)
@click.argument("file", type=PATH)
@lock_timeout
@surroundings
def push(file: str, lock_timeout: float, state: str | None, config: str | None, base_url: str | None) -> int:
    """Record the outcomes in FILE, which a run kept because its store failed or because it was taken over.

    Mutation ids and refusals get into the log; what was only read is left out, `verify` reads it again. Pushing a
    file twice records nothing twice.
    """
    from reconciler.cli.interrupts import signals
    from reconciler.cli.progress import sink
    from reconciler.operations import moving as operations

    context = context_of(state=state, config=config, base_url=base_url)
    with sink() as heartbeat, signals() as stop:
        stop.orderly = False
        done = operations.push(
            context, Path(file), lock_timeout=lock_timeout, notify=heartbeat, interrupts=stop.interrupts
        )
    lines = [f"Recorded {done.recorded:,} {'outcome' if done.recorded == 1 else 'outcomes'}."]
    if done.known:
        lines.append(f"{done.known:,} were in the log already.")
    if done.reads:
        lines.append(f"{done.reads:,} results of reads are left out: `reconciler verify` reads again.")
    output.tell(*lines, f"State head: {done.head}")
    return ExitCode.DONE


@click.command(
    short_help="Move the log to another store.",
    epilog="""\b
Examples:
  reconciler state migrate --to s3://bucket/erasures
  reconciler state migrate --state s3://bucket/erasures --to postgresql://reconciler@db/erasures
""",
)
@click.option("--to", metavar="URL", required=True, help="Where the log goes: an empty place, or an earlier one.")
@surroundings
def migrate(to: str, state: str | None, config: str | None, base_url: str | None) -> int:
    """Move the log to another store: the same bytes, verified, and the old place refuses to be written.

    When it is interrupted, run it again.
    """
    from reconciler.operations import moving as operations
    from reconciler.render.escape import plain

    if not to:
        raise click.UsageError("--to is empty")
    context = context_of(state=state, config=config, base_url=base_url)
    done, url = operations.migrate(context, to)
    copied = {0: "nothing was left to copy", 1: "1 frame copied"}.get(
        done.copied, f"{done.copied:,} frames copied"
    )
    output.tell(
        f"The state is at {plain(url)}; {copied}, the whole chain verified there.",
        "The old place refuses to be written. Point --state, RECONCILER_STATE or reconciler.yaml to the new one.",
        f"State head: {done.journal.head}",
    )
    return ExitCode.DONE


@click.command(
    short_help="Put a damaged last frame aside.",
    epilog="\b\nExample:\n  reconciler state repair --state file:reconciler.state.jsonl\n",
)
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@surroundings
def repair(auto_approve: bool, state: str | None, config: str | None, base_url: str | None) -> int:
    """Put a last frame that does not verify into a file of its own, and record that.

    Only the last frame of a file, and only after a question: it was acknowledged once. What it said is sent or
    read again by the next apply and verify.
    """
    from reconciler.operations import moving as operations
    from reconciler.render.escape import plain

    context = context_of(state=state, config=config, base_url=base_url)

    def approve(damage: Damage) -> bool:
        say(f"{plain(damage.error.message)} ({len(damage.line):,} bytes, the last of the log).")
        return auto_approve or confirmed(
            f"Do you want to put frame {damage.position} aside?",
            "It was acknowledged: what it recorded is not in the log any more. ",
            hint="Add --auto-approve. Nothing was changed.",
        )

    journal, found, code = operations.repair(context, approve)
    if journal is not None and found is not None:
        output.tell(
            f"Frame {journal.position}, as it was, is in {plain(found.path)} beside the state.",
            f"State head: {journal.head}",
        )
    elif code is ExitCode.DONE:
        output.tell("The chain is intact: there is nothing to repair.")
    else:
        say("Cancelled: nothing was changed.")
    return code

"""`reconciler check-ids`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from reconciler.cli import output
from reconciler.cli.options import context_of, format_option, surroundings
from reconciler.errors import ExitCode, UsageError
from reconciler.operations.states import IdCheck, id_check
from reconciler.render.escape import json_text, plain


@click.command(
    name="check-ids",
    epilog="""\b
Examples:
  reconciler check-ids support-articles < ids-to-upsert.txt
  reconciler check-ids support-articles --format json < ids.txt | jq -r 'select(.status=="free").id'
""",
)
@click.argument("index")
@surroundings
@format_option("text", "json")
def check_ids(index: str, state: str | None, config: str | None, base_url: str | None, form: str) -> int:
    """Say which ids on stdin, one a line, are declared absent from INDEX or carry a tombstone.

    For whoever writes to the index: ask first. Offline. One line an id: `ID<TAB>declared|tombstone|free`. Exit 4
    when one of them is declared or carries a tombstone.
    """
    known = id_check(context_of(state=state, config=config, base_url=base_url), index)
    found = False

    def answers() -> Iterator[str]:
        nonlocal found
        for asked, status in _asked(known):
            found = found or status != "free"
            if form == "json":
                yield json_text({"id": asked, "status": status}) + "\n"
            else:
                yield f"{plain(asked)}\t{status}\n"

    output.write(answers())
    return ExitCode.FOUND if found else ExitCode.DONE


def _asked(known: IdCheck) -> Iterator[tuple[str, str]]:
    """Each id on stdin with its status. Blank lines ask nothing."""
    if sys.stdin is None:
        raise UsageError("there is no stdin to read ids from")
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            asked = raw.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise UsageError(
                f"stdin, line {number}: not UTF-8", hint="The lines before it were answered."
            ) from None
        if asked:
            yield asked, known.status(asked)

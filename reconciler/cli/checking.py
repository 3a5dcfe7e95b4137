"""`reconciler check-ids`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader, UnsupportedOperation
from select import select
from typing import cast

import click

from reconciler.cli import output
from reconciler.cli.failures import say
from reconciler.cli.options import context_of, format_option, surroundings
from reconciler.errors import ExitCode, UsageError

#: Bytes. An id has 64 at most; what is longer is no list of ids.
_LONGEST_LINE = 1_000_000

#: Bytes that are taken from stdin at once, if so many have arrived.
_AT_ONCE = 4_194_304


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
    from reconciler.operations.states import id_check
    from reconciler.render.escape import json_text, plain

    known = id_check(context_of(state=state, config=config, base_url=base_url), index)
    if not known.known:
        say(f"warning: no manifest declares and no state remembers an index named '{plain(index)}'")
    found = False
    for asked in _asked():
        statuses = known.statuses(asked)
        found = found or any(status != "free" for status in statuses)
        # Written and let out as the questions come, so that a program can ask, wait and ask on.
        if form == "json":
            output.write(json_text({"id": i, "status": s}) + "\n" for i, s in zip(asked, statuses, strict=True))
        else:
            output.write(f"{plain(i)}\t{s}\n" for i, s in zip(asked, statuses, strict=True))
    return ExitCode.FOUND if found else ExitCode.DONE


def _arrived(stdin: BufferedReader) -> bytes:
    """What has arrived: at least a byte, or b"" at the end. Many questions at once are answered much faster."""
    found = stdin.read1(_AT_ONCE)
    with suppress(UnsupportedOperation):  # it is no file of the system: nobody can say whether more has arrived
        while found and len(found) < _AT_ONCE and select([stdin], [], [], 0)[0]:
            more = stdin.read1(_AT_ONCE)
            if not more:
                break
            found += more
    return found


def _asked() -> Iterator[list[str]]:
    """The ids on stdin, as many at a time as have arrived. Blank lines ask nothing."""
    if sys.stdin is None:
        raise UsageError("there is no stdin to read ids from")
    stdin = cast("BufferedReader", sys.stdin.buffer)
    rest, number = b"", 0
    while True:
        chunk = _arrived(stdin)
        *lines, rest = (rest + chunk).split(b"\n")
        if not chunk:
            lines = [rest]
        elif len(rest) > _LONGEST_LINE:
            raise UsageError(f"stdin, line {number + len(lines) + 1}: longer than any id")
        asked = []
        for raw in lines:
            number += 1
            try:
                asked.append(raw.decode().removesuffix("\r"))
            except UnicodeDecodeError:
                raise UsageError(
                    f"stdin, line {number}: not UTF-8", hint="The lines before it may not have been answered."
                ) from None
        yield [each for each in asked if each]
        if not chunk:
            return

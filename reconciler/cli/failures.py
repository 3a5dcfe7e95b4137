"""How errors and diagnostics reach a person: on stderr, neutralised, with what to do next."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.errors import ReconcilerError
    from reconciler.model.diagnostic import Diagnostic


def say(line: str = "", *, end: str = "\n") -> None:
    """One line on stderr, after what stdout has so far. A closed stderr is nobody to tell."""
    if sys.stderr is None:
        return
    with suppress(OSError, ValueError):
        if sys.stdout is not None:
            sys.stdout.flush()
    with suppress(OSError, ValueError):
        print(line, end=end, file=sys.stderr, flush=True)


def report(failure: ReconcilerError) -> None:
    """An error as `Error: what happened`, its diagnostics and differences, and its hint."""
    from reconciler.render.escape import plain

    report_diagnostics(diagnostics_of(failure))
    say(f"Error: {plain(failure.message)}")
    for difference in getattr(failure, "differences", ()):
        say(f"  {plain(difference)}")
    for line in failure.hint.splitlines():
        say(f"  {plain(line)}")


def diagnostics_of(failure: ReconcilerError) -> list[Diagnostic]:
    """What an error carries that a person must know."""
    from reconciler.model.diagnostic import Diagnostic, Severity

    found = getattr(failure, "diagnostics", ())
    return [each for each in found if isinstance(each, Diagnostic) and each.severity is not Severity.NOTE]


def report_diagnostics(found: Iterable[Diagnostic]) -> None:
    """Diagnostics as `path:line:column: error: summary`, each with its detail."""
    listed = tuple(found)
    if not listed:
        return
    from reconciler.render import diagnostics as lines

    for line in lines.text(listed):
        say(line)


def report_interrupt() -> None:
    """What an interrupt before anything was sent means."""
    say("\nInterrupted. Nothing is in flight; run the same command again when you like.")

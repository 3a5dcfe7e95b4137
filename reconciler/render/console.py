"""The console of rich that this program uses. Importing it costs 50 ms: import it where there is a terminal."""

from __future__ import annotations

from rich.console import Console


class PatientConsole(Console):
    """A console that reports a reader that went away, and leaves it to the caller what comes of it.

    That of rich ends the program then and replaces stdout: in the middle of an apply, deletes would be under way.
    """

    def on_broken_pipe(self) -> None:
        """Called while a BrokenPipeError is handled: let it go on."""
        raise BrokenPipeError

"""How a run is asked to end: by a signal handler, by another thread, by a test."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.errors import Interrupted
from reconciler.model.notices import Sink, Waiting


class Interrupts:
    """Passes a request to stop on to whatever works at the moment. Safe in a signal handler."""

    def __init__(self) -> None:
        self.requested = False
        self._stop: Callable[[], None] | None = None

    def request(self) -> None:
        """Ask for an end: what is in flight is finished and recorded, nothing new is started."""
        self.requested = True
        if self._stop is not None:
            self._stop()

    def on_request(self, stop: Callable[[], None]) -> None:
        """From now on `stop` is what a request reaches; called at once when one was made already."""
        self._stop = stop
        if self.requested:
            stop()

    def waiting(self, notify: Sink, holder: str, seconds_left: float) -> None:
        """Another run holds the state: say so before each pause.

        Raises:
            Interrupted: nobody wants to wait any longer.
        """
        if self.requested:
            raise Interrupted("stopped while waiting for the state", hint="Nothing was sent or recorded.")
        notify(Waiting(holder, seconds_left))

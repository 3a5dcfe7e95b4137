"""Appends of a run, in a thread of their own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

from reconciler.state.events import Event
from reconciler.state.frames import Frame
from reconciler.state.run import Run


class Recorder:
    """Appends frames to a run, at most one at a time, without holding up the coordinator.

    Args:
        run: the run.
        wake: called when an append has ended, from whichever thread made it.
        threads: False appends at once in the caller's thread (tests, single steps).

    Attributes:
        busy: an append is in flight, or ended and was not collected yet.
    """

    def __init__(self, run: Run, wake: Callable[[], None], *, threads: bool = True) -> None:
        self._run = run
        self._wake = wake
        self._tasks: SimpleQueue[list[Event] | None] = SimpleQueue()
        self._ends: SimpleQueue[Frame | BaseException] = SimpleQueue()
        self._end: Frame | BaseException | None = None
        self._threads = threads
        self._thread: Thread | None = None
        self.busy = False

    def start(self, events: list[Event]) -> None:
        """Begin to append. Never call it while the recorder is busy."""
        self.busy = True
        if not self._threads:
            self._append(events)
            return
        if self._thread is None:
            # No daemon: an append that is under way is finished, however the command ends.
            self._thread = Thread(target=self._work, name="recorder")
            self._thread.start()
        self._tasks.put(events)

    def collect(self) -> Frame | None:
        """The frame that became durable; None when none did since the last call.

        Raises:
            RunFenced, StateError: the append failed. The run is over.
        """
        if self._end is None:
            with suppress(Empty):
                self._end = self._ends.get_nowait()
        end, self._end = self._end, None
        if end is None:
            return None
        self.busy = False
        if isinstance(end, BaseException):
            raise end
        return end

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds` for the append in flight, if there is one."""
        if self.busy and self._end is None:
            with suppress(Empty):
                self._end = self._ends.get(timeout=seconds)

    def close(self) -> None:
        """Wait for the append in flight and let the thread go."""
        if self._thread is not None:
            self._tasks.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (events := self._tasks.get()) is not None:
            self._append(events)

    def _append(self, events: list[Event]) -> None:
        try:
            self._ends.put(self._run.append(events))
        except BaseException as failure:  # noqa: BLE001 - handed on by collect()
            self._ends.put(failure)
        self._wake()

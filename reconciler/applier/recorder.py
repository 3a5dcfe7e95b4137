"""Appends of a run, in a thread of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from reconciler.state.events import Event
from reconciler.state.frames import Frame
from reconciler.state.run import Run


class Recorder:
    """Appends frames to a run, at most one at a time, without holding up the coordinator.

    Args:
        run: the run.
        wake: called when an append has ended, from whichever thread made it.
        threads: False appends at once in the caller's thread (tests, single steps).
    """

    def __init__(self, run: Run, wake: Callable[[], None], *, threads: bool = True) -> None:
        self._run = run
        self._wake = wake
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="recorder") if threads else None
        self._pending: Future[Frame] | None = None

    @property
    def busy(self) -> bool:
        """An append is in flight, or ended and was not collected yet."""
        return self._pending is not None

    def start(self, events: list[Event]) -> None:
        """Begin to append. Never call it while the recorder is busy."""
        if self._pool is None:
            self._pending = Future()
            try:
                self._pending.set_result(self._run.append(events))
            except BaseException as failure:  # noqa: BLE001 - handed on by collect()
                self._pending.set_exception(failure)
            self._wake()
        else:
            self._pending = self._pool.submit(self._run.append, events)
            self._pending.add_done_callback(lambda _: self._wake())

    def collect(self) -> Frame | None:
        """The frame that became durable; None when none did since the last call.

        Raises:
            RunFenced, StateError: the append failed. The run is over.
        """
        if self._pending is None or not self._pending.done():
            return None
        pending, self._pending = self._pending, None
        return pending.result()

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds` for the append in flight, if there is one."""
        if self._pending is not None:
            wait([self._pending], timeout=seconds)

    def close(self) -> None:
        """Wait for the append in flight and let the thread go."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)

"""Another process that fills the cache while this one goes on.

Nothing depends on it. What it leaves in the cache is found under the digest of its source, or it is not found, and
then whoever asks does the work itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Final, NoReturn, Self

from reconciler.operations.context import Context

#: What ends a command: to each of them it answers by leaving in order.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Beside:
    """Where some work is done in another process. Leaving the context waits for it; an exception ends it.

    Args:
        context: one that does not allow a process never gets any.
    """

    def __init__(self, context: Context) -> None:
        self._allowed = context.processes and context.cache.usable
        self._child = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._end()
        try:
            self._wait(0)
        except BaseException:
            self._end()
            self._wait(0)
            raise

    def begin(self, work: Callable[[], object]) -> bool:
        """Start `work`, which fills the cache and writes nothing else, if there may be a process for it.

        Returns:
            False when it was not: no process may be, there is no processor for it, or one is at work here.
        """
        if not self._allowed or self._child or not _may_fork():
            return False
        # No signal comes between the fork and the moment at which each side knows which one it is.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            child = os.fork()
            if not child:
                _run(work, mask)
            self._child = child
        except OSError:
            return False
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return True

    def done(self) -> bool:
        """False while the process is at work."""
        return self._wait(os.WNOHANG)

    def _wait(self, options: int) -> bool:
        """True when there is no process any more."""
        with suppress(ChildProcessError):
            if self._child and os.waitpid(self._child, options) == (0, 0):
                return False
        self._child = 0
        return True

    def _end(self) -> None:
        if self._child:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGTERM)


def _run(work: Callable[[], object], mask: Iterable[int]) -> NoReturn:
    """All there is to do in the child."""
    try:
        # What interrupts the whole group reaches the parent, too, which ends this one. Once: what is half written
        # is removed then, in peace.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _end_once)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        work()
    finally:
        # Whatever went wrong, the other process meets it too, and says it. And nothing that it has begun,
        # buffers, locks and handlers, is ended here.
        os._exit(0)


def _end_once(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _may_fork() -> bool:
    """One thread only: for a lock that another one holds the child would wait for ever."""
    return sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1

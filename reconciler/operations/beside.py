"""Another process that fills the cache while this one goes on.

Nothing depends on it. What it leaves in the cache is found under the digest of its source, or it is not found, and
then whoever asks does the work itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from reconciler.operations.context import Context


class Beside:
    """Where some work is done in another process. Leaving the context waits for it; an exception ends it.

    Args:
        context: one that does not allow a process never gets any.
    """

    def __init__(self, context: Context) -> None:
        self._allowed = context.processes and context.cache.folder is not None
        self._child = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._child:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGTERM)
        self._wait(0)

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

    def begin(self, work: Callable[[], object]) -> bool:
        """Start `work`, which fills the cache and writes nothing else, if there may be a process for it.

        Returns:
            False when it was not: no process may be, there is no processor for it, or one is at work here.
        """
        if not self._allowed or self._child or not _may_fork():
            return False
        try:
            self._child = os.fork()
        except OSError:
            return False
        if not self._child:
            _run(work)
        return True


def _run(work: Callable[[], object]) -> None:
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was half written is removed
        work()
    finally:
        # Whatever went wrong, the other process meets it too, and says it. And nothing that it has begun,
        # buffers, locks and handlers, is ended here.
        os._exit(0)


def _may_fork() -> bool:
    """One thread only: for a lock that another one holds the child would wait for ever."""
    return sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1

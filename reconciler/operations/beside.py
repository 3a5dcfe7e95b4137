"""A second process that fills the cache while this one goes on.

Nothing depends on it. What it leaves in the cache is found under the digest of its source, or it is not found, and
then this process does the work itself.
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
    """Some work, and the process that does it. Leaving the context waits for it; an exception ends it.

    Args:
        context: one that does not allow a process never gets any.
        work: fills the cache, and writes nothing else.
    """

    def __init__(self, context: Context, work: Callable[[], object]) -> None:
        self._allowed = context.processes and context.cache.folder is not None
        self._work = work
        self._child = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._child:
            return
        if error is not None:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGTERM)
        with suppress(ChildProcessError):
            os.waitpid(self._child, 0)

    def begin(self) -> bool:
        """Start, if there may be a process and there is a processor for it. False when it was not started."""
        if not self._allowed or self._child or not _may_fork():
            return False
        try:
            self._child = os.fork()
        except OSError:
            return False
        if not self._child:
            self._run()
        return True

    def _run(self) -> None:
        try:
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was half written is removed
            self._work()
        finally:
            # Whatever went wrong, the other process meets it too, and says it. And nothing that it has begun,
            # buffers, locks and handlers, is ended here.
            os._exit(0)


def _may_fork() -> bool:
    """One thread only: for a lock that another one holds the child would wait for ever."""
    return sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1

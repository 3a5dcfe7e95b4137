"""The lock of an append: exclusive, on the log's own open file, proven to exclude before it is relied on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from reconciler.errors import StateError, StoreUnavailable
from reconciler.state.stores.oscalls import OsCalls

#: Seconds to wait for another process that appends: an fsync of a slow disk takes a few.
_PATIENCE = 30.0


class AppendLock:
    """The lock of one store.

    Args:
        calls: the system calls it uses.
        url: of the log, for errors.
        again: opens the log once more, with the flags given.
    """

    def __init__(self, calls: OsCalls, url: str, again: Callable[[int], int]) -> None:
        self._calls = calls
        self._url = url
        self._again = again
        self._excludes = False

    @contextmanager
    def held(self, handle: int) -> Iterator[None]:
        """While this is entered nobody else appends through a lock of this kind.

        Raises:
            StoreUnavailable: another process held it for too long.
            StateError: the file system does not keep two writers apart.
            OSError: it has no locks.
        """
        pause, waited = 0.001, 0.0
        while True:
            try:
                self._calls.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waited >= _PATIENCE:
                    raise StoreUnavailable(
                        f"another process has been appending to {self._url} for {waited:.0f} s",
                        hint="is one of them stopped? Nothing was written by this one",
                    ) from None
                self._calls.sleep(pause)
                waited, pause = waited + pause, min(0.05, pause * 2)
        try:
            self._require_exclusion()
            yield
        finally:
            with suppress(OSError):
                self._calls.flock(handle, fcntl.LOCK_UN)

    def _require_exclusion(self) -> None:
        """The lock must keep a second handle out, once for each store: some file systems only say that it does."""
        if self._excludes:
            return
        second = self._again(os.O_RDWR)
        try:
            self._calls.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._excludes = True
            return
        finally:
            self._calls.close(second)
        raise StateError(
            f"the file system of {self._url} does not keep two writers apart: its locks do not exclude each other",
            hint="keep the state on a local disk",
        )

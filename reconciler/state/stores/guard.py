"""The sidecar lock of the file store: free although its run is open means that the run is dead."""

from __future__ import annotations

import fcntl
import inspect
import os
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from reconciler.state.stores.interface import RunGuard


class SidecarGuard(RunGuard):
    """A lock on `<state>.lock`. The kernel frees it when the process dies, however it dies.

    The file stays when the lock is let go: removing it would let two processes lock two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: BaseFileLock | None = None
        self._name = ""

    def acquire(self) -> str | None:
        if self._lock is not None:
            return self._name
        lock = _file_lock(self._path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        except (OSError, RuntimeError):
            return ""  # a directory that cannot be written, a file system without locks: no proof either way
        name = self._locked_inode()
        if not name:
            lock.release()
            return None
        self._lock, self._name = lock, name
        return name

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _locked_inode(self) -> str:
        """Which file is locked, "" when it is not the one that has the name now (it was removed meanwhile).

        Found out by locking once more, through the name: only the very same file refuses.
        """
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = os.fstat(handle)
            return f"{found.st_dev}:{found.st_ino}"
        except OSError:
            return ""
        finally:
            os.close(handle)
        return ""


def _file_lock(path: Path) -> BaseFileLock:
    options: dict[str, Any] = {"mode": 0o600, "thread_local": False}
    # Later versions fall back to a lock that a dead process keeps, unless they are told not to.
    if "fallback_to_soft" in inspect.signature(FileLock.__init__).parameters:
        options["fallback_to_soft"] = False
    return FileLock(path, **options)

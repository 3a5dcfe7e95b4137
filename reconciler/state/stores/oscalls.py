"""The system calls of the file store, as one object: tests and the storage simulator put another in its place."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Protocol


class OsCalls(Protocol):
    """Each is the system call of its name, raising OSError as `os` does."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int: ...
    def close(self, handle: int) -> None: ...
    def pread(self, handle: int, size: int, offset: int) -> bytes: ...
    def pwrite(self, handle: int, content: bytes, offset: int) -> int: ...
    def fsync(self, handle: int) -> None: ...
    def fdatasync(self, handle: int) -> None: ...
    def ftruncate(self, handle: int, size: int) -> None: ...
    def fchmod(self, handle: int, mode: int) -> None: ...
    def fstat(self, handle: int) -> os.stat_result: ...
    def lstat(self, path: Path) -> os.stat_result: ...
    def flock(self, handle: int, operation: int) -> None: ...
    def link(self, path: Path, name: Path) -> None: ...
    def unlink(self, path: Path) -> None: ...
    def sleep(self, seconds: float) -> None: ...


class RealCalls:
    """The machine's own."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        return os.open(path, flags, mode)

    def close(self, handle: int) -> None:
        os.close(handle)

    def pread(self, handle: int, size: int, offset: int) -> bytes:
        return os.pread(handle, size, offset)

    def pwrite(self, handle: int, content: bytes, offset: int) -> int:
        return os.pwrite(handle, content, offset)

    def fsync(self, handle: int) -> None:
        os.fsync(handle)

    def fdatasync(self, handle: int) -> None:
        getattr(os, "fdatasync", os.fsync)(handle)  # macOS has none

    def ftruncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def fchmod(self, handle: int, mode: int) -> None:
        os.fchmod(handle, mode)

    def fstat(self, handle: int) -> os.stat_result:
        return os.fstat(handle)

    def lstat(self, path: Path) -> os.stat_result:
        return os.lstat(path)

    def flock(self, handle: int, operation: int) -> None:
        fcntl.flock(handle, operation)

    def link(self, path: Path, name: Path) -> None:
        os.link(path, name, follow_symlinks=False)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

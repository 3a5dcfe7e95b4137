"""A log in a local file, as it is read: its lines, and that what was seen of it is still there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import StateDamaged, StateError, StoreUnavailable
from reconciler.state.chain import HEADER_START, not_a_state
from reconciler.state.stores.fileerrors import explain, not_a_file, replaced
from reconciler.state.stores.interface import Store
from reconciler.state.stores.oscalls import OsCalls, RealCalls

#: Bytes read at once: so few that what is made of them finds them in the processor's cache.
_CHUNK = 1 << 18

#: How many bytes before a known end are compared: the end of a line is the end of its hash.
FINGERPRINT = 128


class Mark(NamedTuple):
    """How far the file is known: `position` complete lines end at byte `end`, with the bytes `last` before it."""

    position: int = 0
    end: int = 0
    last: bytes = b""


class ReadableFile(Store):
    """A log in the file `path`, as far as it is read. Arguments as FileStore."""

    created_on_demand = True
    local = True

    def __init__(self, path: Path, *, url: str | None = None, calls: OsCalls | None = None) -> None:
        self.path = path
        self.url = url or f"file:{path}"
        self._calls = calls or RealCalls()
        self._inode: tuple[int, int] | None = None
        self._mark = Mark()
        self._poison: StateError | None = None

    def read(self, after: int) -> Iterator[bytes]:
        if self._poison is not None:
            raise self._poison
        try:
            handle = self._open_to_read()
            if handle is None:
                return
            try:
                yield from self._lines(handle, after)
            finally:
                self._calls.close(handle)
        except OSError as error:
            raise self._failed("read", error) from error

    def exists(self) -> bool:
        for _ in self.read(0):
            return True
        return False

    def _open_to_read(self) -> int | None:
        try:
            handle = self._open(os.O_RDONLY)
        except FileNotFoundError:
            if self._inode is not None:
                raise StateDamaged(f"the state {self.url} was removed while it was in use") from None
            return None
        try:
            self._check_unchanged(handle, self._pin(handle))
        except BaseException:
            self._calls.close(handle)
            raise
        return handle

    def size(self) -> int:
        """See Store."""
        try:
            return self._calls.lstat(self.path).st_size
        except OSError:
            return 0

    def _lines(self, handle: int, after: int) -> Iterator[bytes]:
        mark = self._mark if self._mark.position <= after else Mark()
        offset, rest = mark.end, b""
        while chunk := self._calls.pread(handle, _CHUNK, offset):
            offset += len(chunk)
            found = rest + chunk
            if b"\0" in found:
                # The place of a line end, as it was a moment ago: by now that line is whole, if another follows.
                # No frame holds a NUL; one that is there still is damage, or the end of a line being written.
                found = self._calls.pread(handle, offset - mark.end, mark.end)
                offset = mark.end + len(found)
            start = 0
            while end := found.find(b"\n", start) + 1:  # splitting does not search as fast
                line = found[start:end]
                start = end
                mark = Mark(mark.position + 1, mark.end + len(line), line[-FINGERPRINT:])
                if mark.position == self._mark.position + 1:
                    self._mark = mark
                if mark.position > after:
                    yield line
            rest = found[start:]
        self._check_tail(rest, mark)

    def _check_tail(self, rest: bytes, mark: Mark) -> None:
        """A file without a complete line may be a log that was being created, or anything else."""
        begun = rest[: len(HEADER_START)].rstrip(b"\0")
        if mark.position == 0 and rest and not HEADER_START.startswith(begun):
            raise not_a_state()

    def _check_unchanged(self, handle: int, size: int) -> None:
        """What was seen before must still be there: nobody takes frames back."""
        mark = self._mark
        if size < mark.end:
            raise StateDamaged(
                f"the state went backwards: {self.url} is shorter than it was a moment ago",
                hint="something other than reconciler writes to it: a restored copy, or a checkout",
            )
        if mark.last and self._calls.pread(handle, len(mark.last), mark.end - len(mark.last)) != mark.last:
            raise StateDamaged(f"frame {mark.position} of {self.url} was changed since it was read")

    def _open(self, flags: int) -> int:
        """Open the file, if it is one. O_NONBLOCK: a named pipe must not make us wait for its other end."""
        try:
            handle = self._calls.open(self.path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StateError(
                    f"{self.url} is a symbolic link: another file could be put behind it during a run",
                    hint="give the path of the file itself",
                ) from error
            if error.errno in (errno.EISDIR, errno.ENXIO):
                raise not_a_file(self.url) from error
            raise
        if not stat.S_ISREG(self._calls.fstat(handle).st_mode):
            self._calls.close(handle)
            raise not_a_file(self.url)
        return handle

    def _pin(self, handle: int) -> int:
        """The file is the one it was; returns its length."""
        found = self._calls.fstat(handle)
        inode = (found.st_dev, found.st_ino)
        if self._inode not in (None, inode):
            raise replaced(self.url)
        self._inode = inode
        return found.st_size

    def warnings(self) -> tuple[str, ...]:
        try:
            mode = stat.S_IMODE(self._calls.lstat(self.path).st_mode)
        except OSError:
            return ()
        if not mode & 0o077:
            return ()
        return (f"{self.url} can be read or written by other users (mode {mode:04o}); make it 0600",)

    @property
    def folder(self) -> Path:
        return self.path.parent

    def _failed(self, what: str, error: OSError) -> StoreUnavailable:
        return explain(self.url, what, error)

"""A log in a local file. Its compare-and-append is an exclusive lock on the file itself, for that append only.

A line is written after everything that precedes it was seen under the lock, its LF after all the rest is synced,
and it is acknowledged when that is synced, too. What a crash leaves behind is at most a last line without its LF;
it is put aside by the next writer.

The place of the LF is part of the first write, as a NUL: the second changes one byte and not the length, so that
its sync is one sector and no change of the file system's own tables, which costs half of a first one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from reconciler.clock import Clock
from reconciler.errors import StateDamaged, StateError, StoreUnavailable
from reconciler.state.chain import HEADER_START, not_a_state
from reconciler.state.events import Recovered
from reconciler.state.stores.durable import (
    address_for,
    create_private,
    create_whole,
    means,
    sync_file,
    sync_folder,
    try_names,
    write_all,
)
from reconciler.state.stores.fileerrors import HOPELESS, explain, not_a_file, replaced
from reconciler.state.stores.interface import AppendOutcome, Conflict, Done, RunGuard, Store, Unknown
from reconciler.state.stores.lock import AppendLock
from reconciler.state.stores.oscalls import OsCalls, RealCalls

#: Bytes read at once: so few that what is made of them finds them in the processor's cache.
_CHUNK = 1 << 18

#: How many bytes before a known end are compared: the end of a line is the end of its hash.
_FINGERPRINT = 128


class _Mark(NamedTuple):
    """How far the file is known: `position` complete lines end at byte `end`, with the bytes `last` before it."""

    position: int = 0
    end: int = 0
    last: bytes = b""


class FileStore(Store):
    """A log in the file `path`.

    Args:
        path: of the file; its directory must exist.
        url: printable; None: made from `path`.
        calls: the system calls it uses.
    """

    created_on_demand = True
    local = True

    def __init__(self, path: Path, *, url: str | None = None, calls: OsCalls | None = None) -> None:
        self.path = path
        self.url = url or f"file:{path}"
        self._calls = calls or RealCalls()
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._inode: tuple[int, int] | None = None
        self._mark = _Mark()
        self._exclusive = AppendLock(self._calls, self.url, self._open)
        self._folder_synced = False
        self._poison: StateError | None = None
        self._recovered: list[Recovered] = []

    # Reading

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
        mark = self._mark if self._mark.position <= after else _Mark()
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
                mark = _Mark(mark.position + 1, mark.end + len(line), line[-_FINGERPRINT:])
                if mark.position == self._mark.position + 1:
                    self._mark = mark
                if mark.position > after:
                    yield line
            rest = found[start:]
        self._check_tail(rest, mark)

    def _check_tail(self, rest: bytes, mark: _Mark) -> None:
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

    # Opening

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

    def _open_to_write(self, *, create: bool) -> int:
        if self._handle is not None:
            return self._handle
        made = False
        try:
            handle = self._open(os.O_RDWR)
        except FileNotFoundError:
            if not create or self._inode is not None:
                raise
            try:
                handle = self._open(os.O_RDWR | os.O_CREAT | os.O_EXCL)
                made = True
            except FileExistsError:
                handle = self._open(os.O_RDWR)
        try:
            if made:
                self._calls.fchmod(handle, 0o600)
            self._pin(handle)
        except BaseException:
            self._calls.close(handle)
            raise
        self._handle = handle
        return handle

    # Appending

    def append(self, line: bytes, position: int) -> AppendOutcome:
        with self._lock:
            if self._poison is not None:
                return Unknown(self._poison, retry=False)
            try:
                handle = self._open_to_write(create=position == 1)
                with self._exclusive.held(handle):
                    return self._append(handle, line, position)
            except StateError as error:
                return Unknown(error, retry=False)
            except OSError as error:
                return Unknown(self._failed("written", error), retry=error.errno not in HOPELESS)

    def _append(self, handle: int, line: bytes, position: int) -> AppendOutcome:
        self._put_tail_aside(handle, self._see_everything(handle))
        if position != self._mark.position + 1:
            return Conflict()
        start = self._mark.end
        last = start + len(line) - 1
        # The line end comes alone, when all before it is durable: a power cut may keep any of the sectors of a
        # write, but no whole line that is not what was written. A whole line whose hash fails is damage, always.
        self._make_durable(handle, line[:-1] + b"\0", start, start, self._calls.fsync)
        self._make_durable(handle, line[-1:], last, start, self._calls.fdatasync)
        self._mark = _Mark(position, last + 1, line[-_FINGERPRINT:])
        return Done()

    def _make_durable(
        self, handle: int, content: bytes, offset: int, start: int, sync: Callable[[int], None]
    ) -> None:
        """Write and sync. When the write fails, all from `start` is taken back; when the sync does, all of it."""
        try:
            write_all(self._calls, handle, content, offset)
        except OSError as error:
            self._take_back(handle, start, error)
            raise
        try:
            sync(handle)
            if not self._folder_synced:  # whoever created the file may have died before it did this
                sync_folder(self._calls, self.folder)
                self._folder_synced = True
        except OSError as error:
            # The kernel may have dropped what it could not write, and says so only once: from here on nothing
            # that is read through it proves anything.
            self._take_back(handle, offset, error)
            self._poison = self._failed("made durable", error)
            raise self._poison from error

    def _take_back(self, handle: int, size: int, cause: OSError) -> None:
        """Remove what was half written. If that fails too, this handle is not used again."""
        try:
            self._calls.ftruncate(handle, size)
        except OSError:
            self._poison = self._failed("written, nor what was half written be removed", cause)

    def _see_everything(self, handle: int) -> int:
        """Under the lock: the name still means this file, nothing known has gone, and all lines are counted.

        Returns:
            the file's length. Nobody else changes it before the lock is let go.
        """
        found = self._calls.lstat(self.path)
        size = self._pin(handle)
        if (found.st_dev, found.st_ino) != self._inode:
            raise replaced(self.url)
        self._check_unchanged(handle, size)
        if size > self._mark.end:
            for _ in self._lines(handle, self._mark.position):
                pass
        return size

    def probe(self) -> None:
        """Raises StateError when a log could not be written here; leaves nothing behind."""
        with self._lock:
            try:
                self._calls.lstat(self.folder)
                self._open_to_read_and_close()
            except OSError as error:
                raise self._failed("created", error) from error

    def _open_to_read_and_close(self) -> None:
        handle = self._open_to_read()
        if handle is not None:
            self._calls.close(handle)

    # A torn tail

    def recover(self) -> Recovered | None:
        with self._lock:
            if not self._recovered and self._torn():
                try:
                    handle = self._open_to_write(create=False)
                    with self._exclusive.held(handle):
                        self._put_tail_aside(handle, self._see_everything(handle))
                except OSError as error:
                    raise self._failed("written", error) from error
            return self._recovered.pop(0) if self._recovered else None

    def _torn(self) -> bool:
        """Without the lock: is there anything after the last known line? It may be a writer at work."""
        try:
            return self._poison is None and self._calls.lstat(self.path).st_size > self._mark.end
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._failed("read", error) from error

    def _put_tail_aside(self, handle: int, length: int) -> None:
        """Under the lock nobody writes: bytes after the last LF are what a crash left behind. Keep them.

        Args:
            length: of the file.
        """
        size = length - self._mark.end
        if size <= 0:
            return
        self._recovered.append(self._cut_off(handle, self._mark.end, self._bytes(handle, self._mark.end, size)))

    def _bytes(self, handle: int, offset: int, size: int) -> bytes:
        found = b""
        while len(found) < size and (chunk := self._calls.pread(handle, size - len(found), offset + len(found))):
            found += chunk
        return found

    def _cut_off(self, handle: int, end: int, rest: bytes) -> Recovered:
        """Under the lock: keep `rest`, all that follows byte `end`, in a file of its own; then take it away."""
        when = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        path = self.path.with_name(f"{self.path.name}.torn-{when}")
        create_private(self._calls, path, [rest])
        self._calls.fsync(handle)  # no line end that an fsync which failed may have left there comes back
        self._calls.ftruncate(handle, end)
        self._calls.fsync(handle)
        return Recovered(path.name, len(rest), hashlib.sha256(rest).hexdigest())

    def set_aside(self, line: bytes, position: int) -> Recovered:
        with self._lock:
            try:
                handle = self._open_to_write(create=False)
                with self._exclusive.held(handle):
                    self._put_tail_aside(handle, self._see_everything(handle))
                    start = self._mark.end - len(line)
                    standing = self._bytes(handle, start, len(line)) if start > 0 else b""
                    if self._mark.position != position or standing != line:
                        raise StateError(
                            f"frame {position} of {self.url} is not its last line, or was changed meanwhile",
                            hint="nothing was changed",
                        )
                    cut = self._cut_off(handle, start, line)
                    before = self._bytes(handle, max(0, start - _FINGERPRINT), min(start, _FINGERPRINT))
                    self._mark = _Mark(position - 1, start, before)
                    return cut
            except OSError as error:
                raise self._failed("written", error) from error

    # A log from elsewhere

    def make_room(self) -> None:
        with self._lock:
            try:
                if not self._is_there():
                    try_names(self._calls, self.path)
                elif next(self.read(0), None) is None:
                    raise StateError(
                        f"{self.url} is there already, and holds no log", hint="remove it, or name another file"
                    )
            except OSError as error:
                raise self._failed("created", error) from error

    def _is_there(self) -> bool:
        try:
            self._calls.lstat(self.path)
        except FileNotFoundError:
            return False
        return True

    def receive(self, lines: Iterator[bytes], last: bytes, clock: Clock) -> None:  # noqa: ARG002 - nothing waits here
        with self._lock:
            try:
                create_whole(self._calls, self.path, lines, clock.token())
            except FileExistsError:
                raise StateError(f"{self.url} exists already", hint="nothing there was changed") from None
            except OSError as error:
                raise self._failed("written", error) from error

    def sync(self) -> None:
        try:
            sync_file(self._calls, self._open(os.O_RDONLY), self.folder)
        except OSError as error:
            raise self._failed("made durable", error) from error

    def address(self, source: Store | None = None) -> str:
        return address_for(self.url, self.path, source)

    def answers_to(self, address: str) -> bool:
        return means(address, self.path)

    # The rest

    def guard(self) -> RunGuard:
        from reconciler.state.stores.guard import SidecarGuard  # noqa: PLC0415 - a lock that only runs hold

        return SidecarGuard(self.path.with_name(self.path.name + ".lock"))

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

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):
                self._calls.close(handle)

    def _failed(self, what: str, error: OSError) -> StoreUnavailable:
        return explain(self.url, what, error)

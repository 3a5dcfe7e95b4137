"""A log in a local file. Its compare-and-append is an exclusive lock on the file itself, for that append only.

A line is written after everything that precedes it was seen under the lock, and is acknowledged after an
fsync. What a crash leaves behind is at most a last line without its LF; it is put aside by the next writer.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reconciler.errors import StateDamaged, StateError, StoreUnavailable
from reconciler.state.chain import HEADER_START, not_a_state
from reconciler.state.events import Recovered
from reconciler.state.fileerrors import HOPELESS, explain, not_a_file, replaced
from reconciler.state.guard import SidecarGuard
from reconciler.state.interface import AppendOutcome, Conflict, Done, RunGuard, Store, Unknown
from reconciler.state.oscalls import OsCalls, RealCalls

_CHUNK = 1 << 20

#: Seconds to wait for another process that appends: an fsync of a slow disk takes a few.
_LOCK_PATIENCE = 30.0

#: How many bytes before a known end are compared: the end of a line is the end of its hash.
_FINGERPRINT = 128


@dataclass(frozen=True, slots=True)
class _Mark:
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

    def __init__(self, path: Path, *, url: str | None = None, calls: OsCalls | None = None) -> None:
        self.path = path
        self.url = url or f"file:{path}"
        self._calls = calls or RealCalls()
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._inode: tuple[int, int] | None = None
        self._mark = _Mark()
        self._excludes = False
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
            self._pin(handle)
        except BaseException:
            self._calls.close(handle)
            raise
        return handle

    def _lines(self, handle: int, after: int) -> Iterator[bytes]:
        mark = self._mark if self._mark.position <= after else _Mark()
        self._check_unchanged(handle)
        offset, rest = mark.end, b""
        while chunk := self._calls.pread(handle, _CHUNK, offset):
            offset += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for each in lines:
                line = each + b"\n"
                mark = _Mark(mark.position + 1, mark.end + len(line), line[-_FINGERPRINT:])
                if mark.position == self._mark.position + 1:
                    self._mark = mark
                if mark.position > after:
                    yield line
        self._check_tail(rest, mark)

    def _check_tail(self, rest: bytes, mark: _Mark) -> None:
        """A file without a complete line may be a log that was being created, or anything else."""
        begun = rest.rstrip(b"\0")[: len(HEADER_START)]
        if mark.position == 0 and rest and not HEADER_START.startswith(begun):
            raise not_a_state()

    def _check_unchanged(self, handle: int) -> None:
        """What was seen before must still be there: nobody takes frames back."""
        mark = self._mark
        if self._calls.fstat(handle).st_size < mark.end:
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

    def _pin(self, handle: int) -> None:
        found = self._calls.fstat(handle)
        inode = (found.st_dev, found.st_ino)
        if self._inode not in (None, inode):
            raise replaced(self.url)
        self._inode = inode

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
                with self._locked(handle):
                    return self._append(handle, line, position)
            except StateError as error:
                return Unknown(error, retry=False)
            except OSError as error:
                return Unknown(self._failed("written", error), retry=error.errno not in HOPELESS)

    def _append(self, handle: int, line: bytes, position: int) -> AppendOutcome:
        self._see_everything(handle)
        self._put_tail_aside(handle)
        if position != self._mark.position + 1:
            return Conflict()
        end = self._mark.end
        try:
            self._write(handle, line, end)
        except OSError as error:
            self._take_back(handle, end, error)
            raise
        try:
            self._calls.fsync(handle)
            if not self._folder_synced:  # whoever created the file may have died before it did this
                self._sync_folder()
                self._folder_synced = True
        except OSError as error:
            # The kernel may have dropped what it could not write, and says so only once: from here on nothing
            # that is read through it proves anything.
            self._take_back(handle, end, error)
            self._poison = self._failed("made durable", error)
            raise self._poison from error
        self._mark = _Mark(position, end + len(line), line[-_FINGERPRINT:])
        return Done()

    def _write(self, handle: int, line: bytes, offset: int) -> None:
        while line:
            written = self._calls.pwrite(handle, line, offset)
            if written <= 0:
                raise OSError(errno.EIO, "nothing was written")
            line, offset = line[written:], offset + written

    def _take_back(self, handle: int, size: int, cause: OSError) -> None:
        """Remove what was half written. If that fails too, this handle is not used again."""
        try:
            self._calls.ftruncate(handle, size)
        except OSError:
            self._poison = self._failed("written, nor what was half written be removed", cause)

    def _sync_folder(self) -> None:
        folder = self._calls.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._calls.fsync(folder)
        finally:
            self._calls.close(folder)

    def _see_everything(self, handle: int) -> None:
        """Under the lock: the name still means this file, nothing known has gone, and all lines are counted."""
        found = self._calls.lstat(self.path)
        self._pin(handle)
        if (found.st_dev, found.st_ino) != self._inode:
            raise replaced(self.url)
        for _ in self._lines(handle, self._mark.position):
            pass

    # The lock of an append

    @contextmanager
    def _locked(self, handle: int) -> Iterator[None]:
        pause, waited = 0.001, 0.0
        while True:
            try:
                self._calls.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waited >= _LOCK_PATIENCE:
                    raise StoreUnavailable(
                        f"another process has been appending to {self.url} for {waited:.0f} s",
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
        second = self._open(os.O_RDWR)
        try:
            self._calls.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._excludes = True
            return
        finally:
            self._calls.close(second)
        raise StateError(
            f"the file system of {self.url} does not keep two writers apart: its locks do not exclude each other",
            hint="keep the state on a local disk",
        )

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
                    with self._locked(handle):
                        self._see_everything(handle)
                        self._put_tail_aside(handle)
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

    def _put_tail_aside(self, handle: int) -> None:
        """Under the lock nobody writes: bytes after the last LF are what a crash left behind. Keep them."""
        size = self._calls.fstat(handle).st_size - self._mark.end
        if size <= 0:
            return
        tail = b""
        while len(tail) < size and (chunk := self._calls.pread(handle, _CHUNK, self._mark.end + len(tail))):
            tail += chunk
        path = self._write_aside(tail)
        self._calls.ftruncate(handle, self._mark.end)
        self._calls.fsync(handle)
        self._recovered.append(Recovered(path.name, len(tail), hashlib.sha256(tail).hexdigest()))

    def _write_aside(self, content: bytes) -> Path:
        when = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        path = self.path.with_name(f"{self.path.name}.torn-{when}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = self._calls.open(path, flags, 0o600)
        try:
            self._calls.fchmod(handle, 0o600)
            self._write(handle, content, 0)
            self._calls.fsync(handle)
        finally:
            self._calls.close(handle)
        self._sync_folder()
        return path

    # The rest

    def guard(self) -> RunGuard:
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

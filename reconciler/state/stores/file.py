"""A log in a local file. Its compare-and-append is an exclusive lock on the file itself, for that append only.

A line is written after everything that precedes it was seen under the lock, its LF after all the rest is synced,
and it is acknowledged when that is synced, too. What a crash leaves behind is at most a last line without its LF;
it is put aside by the next writer.

The place of the LF is part of the first write, as a NUL: the second changes one byte and not the length, so that
its sync is one sector and no change of the file system's own tables, which costs half of a first one.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from reconciler.clock import Clock
from reconciler.errors import StateError
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
from reconciler.state.stores.fileerrors import HOPELESS, replaced
from reconciler.state.stores.interface import AppendOutcome, Conflict, Done, RunGuard, Store, Unknown
from reconciler.state.stores.lock import AppendLock
from reconciler.state.stores.oscalls import OsCalls
from reconciler.state.stores.readable import FINGERPRINT, Mark, ReadableFile


class FileStore(ReadableFile):
    """A log in the file `path`.

    Args:
        path: of the file; its directory must exist.
        url: printable; None: made from `path`.
        calls: the system calls it uses.
    """

    def __init__(self, path: Path, *, url: str | None = None, calls: OsCalls | None = None) -> None:
        super().__init__(path, url=url, calls=calls)
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._exclusive = AppendLock(self._calls, self.url, self._open)
        self._folder_synced = False
        self._recovered: list[Recovered] = []

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
        self._mark = Mark(position, last + 1, line[-FINGERPRINT:])
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
                    before = self._bytes(handle, max(0, start - FINGERPRINT), min(start, FINGERPRINT))
                    self._mark = Mark(position - 1, start, before)
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

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):
                self._calls.close(handle)

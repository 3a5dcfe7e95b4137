"""A disk in memory whose power can be cut: what was not synced is there afterwards, in parts, or not at all.

The model is the pessimistic reading of POSIX. Since the last fsync of a file every write made a new version of the
sectors it touched, and every change of length a new length; after a power cut each sector holds any of its
versions, each independently of the others (so writes are reordered), a sector that never arrived reads as zeros,
and the length is any of the lengths. An fsync leaves only the newest of all. A name that was made or taken away is
there or not until its folder was synced. What is assumed is that one sector is written whole or not at all.

A process may also be killed alone (`Process.kill`): then its handles and locks are gone, and what it wrote is still
in the cache, where the others read it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, product
from math import prod
from pathlib import Path
from typing import Any

SECTOR = 512

#: What becomes of the data when an fsync fails: it stays to be written ("kept"); it stays readable and is never
#: written ("clean", as ext4 and XFS do); the cache forgets it ("dropped", as btrfs does).
AFTER_EIO = ("kept", "clean", "dropped")


class Halted(BaseException):
    """The process ends in the middle of a system call: the power was cut, or it was killed."""


@dataclass(eq=False)
class _File:
    """One file, and what of it is where.

    Attributes:
        cache: what everybody reads.
        disk: what is there for certain.
        newer: of a sector, the versions written since, oldest first; one of them will be synced, the last.
        stray: of a sector, versions that a failed fsync left to chance.
        lengths: those it had since.
        locked: the handle that holds the lock.
    """

    number: int
    mode: int = 0o600
    cache: bytearray = field(default_factory=bytearray)
    disk: bytes = b""
    newer: dict[int, list[bytes]] = field(default_factory=dict)
    stray: dict[int, list[bytes]] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    locked: int | None = None

    def write(self, content: bytes, offset: int) -> None:
        length = len(self.cache)
        self.cache.extend(bytes(max(0, offset + len(content) - length)))
        self.cache[offset : offset + len(content)] = content
        if len(self.cache) != length:
            self.lengths.append(len(self.cache))
        self._touch(min(offset, length), offset + len(content))

    def resize(self, length: int) -> None:
        before = len(self.cache)
        if length == before:
            return
        del self.cache[length:]
        self.cache.extend(bytes(length - len(self.cache)))
        self.lengths.append(length)
        self._touch(min(length, before), max(length, before))

    def _touch(self, start: int, end: int) -> None:
        for sector in range(start // SECTOR, -(-end // SECTOR)):
            self.newer.setdefault(sector, []).append(_sector(self.cache, sector))

    def sync(self) -> None:
        self.disk = _compose(self.disk, {s: versions[-1] for s, versions in self.newer.items()}, len(self.cache))
        for sector in self.newer:
            self.stray.pop(sector, None)
        self.newer, self.lengths = {}, []

    def fail_to_sync(self, how: str) -> None:
        if how == "kept":
            return
        for sector, versions in self.newer.items():
            self.stray.setdefault(sector, []).extend(versions)
        self.newer = {}
        if how == "dropped":
            self.cache = bytearray(_compose(self.disk, {}, len(self.cache)))

    def choices(self) -> list[list[Any]]:
        """What a power cut decides: the length, then of each sector in doubt its content; oldest first."""
        sectors = sorted({*self.newer, *self.stray})
        found: list[list[Any]] = [_unique([len(self.disk), *self.lengths])]
        for sector in sectors:
            versions = [_sector(self.disk, sector), *self.stray.get(sector, ()), *self.newer.get(sector, ())]
            found.append([(sector, version) for version in _unique(versions)])
        return found


def _sector(content: bytes | bytearray, number: int) -> bytes:
    return bytes(content[number * SECTOR : (number + 1) * SECTOR]).ljust(SECTOR, b"\0")


def _compose(content: bytes, sectors: Mapping[int, bytes], length: int) -> bytes:
    made = bytearray(content)
    for number, version in sectors.items():
        made.extend(bytes(max(0, (number + 1) * SECTOR - len(made))))
        made[number * SECTOR : (number + 1) * SECTOR] = version
    return bytes(made[:length].ljust(length, b"\0"))


def _unique(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


class Disk:
    """One folder of files.

    Args:
        folder: its path. Nothing is made there.
        files: what lies in it, synced.

    Attributes:
        names: what lies in it.
        changes: how often something was changed or synced.
    """

    def __init__(self, folder: Path, files: Mapping[str, bytes] | None = None) -> None:
        self.folder = folder
        self._numbers = count(1)
        self.changes = 0
        self.names: dict[str, _File] = {}
        self._synced: dict[str, _File] = {}
        self._changes: dict[str, list[_File | None]] = {}
        for name, content in (files or {}).items():
            self._synced[name] = _File(next(self._numbers), cache=bytearray(content), disk=bytes(content))
        self.names.update(self._synced)

    def process(self, **options: Any) -> Process:
        """A process that uses the disk; options as of Process."""
        return Process(self, **options)

    def __getitem__(self, name: str) -> bytes:
        """What a file holds, as everybody reads it."""
        return bytes(self.names[name].cache)

    def make(self, mode: int) -> _File:
        """A new file, without a name."""
        return _File(next(self._numbers), mode)

    def new_handle(self) -> int:
        """A number that no other handle of any process has."""
        return next(self._numbers)

    def set_name(self, name: str, file: _File | None) -> None:
        """Let `name` mean `file`, or nothing."""
        self.changes += 1
        if file is None:
            del self.names[name]
        else:
            self.names[name] = file
        self._changes.setdefault(name, []).append(file)

    def sync_names(self) -> None:
        """What an fsync of the folder does."""
        self.changes += 1
        self._synced, self._changes = dict(self.names), {}

    # The power

    def states(self, limit: int, seed: int = 0) -> Iterator[Disk]:
        """What may be there when the power comes back: each state once.

        All of them when there are at most `limit` combinations. Otherwise the telling ones (all old, all new; each
        thing alone old or new) and, up to `limit`, combinations drawn by chance.
        """
        choices, files = self._choices()
        seen = set()
        for picked in _combinations(choices, limit, random.Random(seed)):
            state = self._state(picked, files)
            found = frozenset((name, bytes(file.cache)) for name, file in state.names.items())
            if found not in seen:
                seen.add(found)
                yield state

    def some_state(self, chance: random.Random) -> Disk:
        """One of them, by chance."""
        choices, files = self._choices()
        return self._state([chance.choice(each) for each in choices], files)

    def _choices(self) -> tuple[list[list[Any]], list[_File]]:
        """Of each name in doubt, what it may mean; then the choices of each file that may have a name."""
        choices: list[list[Any]] = []
        files = list(self._synced.values())
        for name, changes in self._changes.items():
            means = _unique([self._synced.get(name), *changes])
            choices.append([(name, each) for each in means])
            files += [each for each in means if each is not None]
        files = _unique(files)
        for file in files:
            choices += file.choices()
        return choices, files

    def _state(self, picked: Sequence[Any], files: Sequence[_File]) -> Disk:
        rest = iter(picked)
        means: dict[str, _File | None] = {**self._synced, **dict(next(rest) for _ in self._changes)}
        made = {}
        for file in files:
            length = next(rest)
            content = _compose(file.disk, dict(next(rest) for _ in {*file.newer, *file.stray}), length)
            made[file] = _File(file.number, file.mode, bytearray(content), content)
        state = Disk(self.folder)
        state._numbers = count(next(self._numbers))
        state._synced = {name: made[file] for name, file in means.items() if file is not None}
        state.names = dict(state._synced)
        return state


def _combinations(choices: list[list[Any]], limit: int, chance: random.Random) -> Iterator[Sequence[Any]]:
    if prod(len(each) for each in choices) <= limit:
        yield from product(*choices)
        return
    old, new = [each[0] for each in choices], [each[-1] for each in choices]
    yield old
    yield new
    for index in range(len(choices)):
        yield [*new[:index], old[index], *new[index + 1 :]]
        yield [*old[:index], new[index], *old[index + 1 :]]
    for _ in range(limit - 2 * len(choices) - 2):
        yield [chance.choice(each) for each in choices]


class Process:
    """The system calls of one process (an `OsCalls`), numbered from 1.

    Args:
        disk: that it uses.
        dies_at: the number of the call in place of which it ends; 0 for none. Nothing it does afterwards counts.
        fail: asked before each call, with its name and number; an errno makes it fail.
        short: bytes that one write takes at most.
        after_eio: one of AFTER_EIO.

    Attributes:
        log: the names of the calls so far; letting go of a lock is called "unlock".
        dead: it has ended.
        slept: seconds.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        dies_at: int = 0,
        fail: Callable[[str, int], int | None] = lambda _name, _number: None,
        short: int | None = None,
        after_eio: str = "clean",
    ) -> None:
        self.dies_at = dies_at
        self.fail = fail
        self.short = short
        self._disk = disk
        self._after_eio = after_eio
        self._handles: dict[int, _File | None] = {}
        self.dead = False
        self.log: list[str] = []
        self.slept = 0.0

    def kill(self) -> None:
        """It is gone, with its handles and locks; what it wrote is where it was."""
        self.dead = True
        for handle in list(self._handles):
            self._release(handle)

    def _enter(self, name: str) -> None:
        if self.dead:
            raise Halted
        self.log.append(name)
        if len(self.log) == self.dies_at:
            self.kill()
            raise Halted
        number = self.fail(name, len(self.log))
        if number is not None:
            raise OSError(number, os.strerror(number))

    def _release(self, handle: int) -> None:
        file = self._handles.pop(handle)
        if file is not None and file.locked == handle:
            file.locked = None

    def _file(self, handle: int) -> _File:
        file = self._handles[handle]
        assert file is not None, "a folder is no file"
        return file

    def _named(self, path: Path) -> _File:
        file = self._disk.names.get(path.name) if path.parent == self._disk.folder else None
        if file is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return file

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        self._enter("open")
        if path == self._disk.folder:
            file = None
        elif flags & os.O_CREAT and path.parent == self._disk.folder and path.name not in self._disk.names:
            file = self._disk.make(mode)
            self._disk.set_name(path.name, file)
        else:
            file = self._named(path)
            if flags & os.O_EXCL:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        handle = self._disk.new_handle()
        self._handles[handle] = file
        return handle

    def close(self, handle: int) -> None:
        if not self.dead:  # what Python tidies up afterwards is nothing that a dead process does
            self._enter("close")
            self._release(handle)

    def pread(self, handle: int, size: int, offset: int) -> bytes:
        self._enter("pread")
        return bytes(self._file(handle).cache[offset : offset + size])

    def pwrite(self, handle: int, content: bytes, offset: int) -> int:
        self._enter("pwrite")
        self._disk.changes += 1
        taken = content[: self.short]
        self._file(handle).write(taken, offset)
        return len(taken)

    def fsync(self, handle: int) -> None:
        file = self._handles.get(handle)
        self._disk.changes += 1
        try:
            self._enter("fsync")
        except OSError:
            if file is not None:
                file.fail_to_sync(self._after_eio)
            raise
        if file is None:
            self._disk.sync_names()
        else:
            file.sync()

    def fdatasync(self, handle: int) -> None:
        """As fsync: what it may leave out (times) is nothing that a store reads."""
        self.fsync(handle)

    def ftruncate(self, handle: int, size: int) -> None:
        self._enter("ftruncate")
        self._disk.changes += 1
        self._file(handle).resize(size)

    def fchmod(self, handle: int, mode: int) -> None:
        self._enter("fchmod")
        self._file(handle).mode = mode

    def fstat(self, handle: int) -> os.stat_result:
        self._enter("fstat")
        return _stat(self._handles[handle])

    def lstat(self, path: Path) -> os.stat_result:
        self._enter("lstat")
        return _stat(None if path == self._disk.folder else self._named(path))

    def flock(self, handle: int, operation: int) -> None:
        self._enter("unlock" if operation & fcntl.LOCK_UN else "flock")
        file = self._file(handle)
        if operation & fcntl.LOCK_UN:
            file.locked = None if file.locked == handle else file.locked
        elif file.locked in (None, handle):
            file.locked = handle
        else:
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))

    def link(self, path: Path, name: Path) -> None:
        self._enter("link")
        if name.name in self._disk.names:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(name))
        self._disk.set_name(name.name, self._named(path))

    def unlink(self, path: Path) -> None:
        self._enter("unlink")
        self._named(path)
        self._disk.set_name(path.name, None)

    def sleep(self, seconds: float) -> None:
        self._enter("sleep")
        self.slept += seconds


def _stat(file: _File | None) -> os.stat_result:
    if file is None:
        return os.stat_result((stat.S_IFDIR | 0o700, 1, 1, 1, 0, 0, 0, 0, 0, 0))
    return os.stat_result((stat.S_IFREG | file.mode, file.number, 1, 1, 0, 0, len(file.cache), 0, 0, 0))

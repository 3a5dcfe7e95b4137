"""What the file store does to a disk besides appending, and the names of its files. Durable when it returns."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from reconciler.state.stores.interface import Store
from reconciler.state.stores.oscalls import OsCalls

_SCHEME = "file:"


def write_all(calls: OsCalls, handle: int, content: bytes, offset: int) -> int:
    """Write all of `content` at `offset`, in as many pieces as the system wants; returns where it ends.

    Raises:
        OSError: some of it may have been written.
    """
    while content:
        written = calls.pwrite(handle, content, offset)
        if written <= 0:
            raise OSError(errno.EIO, "nothing was written")
        content, offset = content[written:], offset + written
    return offset


def create_private(calls: OsCalls, path: Path, chunks: Iterable[bytes]) -> None:
    """A new file of `chunks` that only this user can read. Raises FileExistsError, OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = calls.open(path, flags, 0o600)
    try:
        calls.fchmod(handle, 0o600)
        end = 0
        for chunk in chunks:
            end = write_all(calls, handle, chunk, end)
        calls.fsync(handle)
    finally:
        calls.close(handle)
    sync_folder(calls, path.parent)


def create_whole(calls: OsCalls, path: Path, chunks: Iterable[bytes], token: str) -> None:
    """As `create_private`, but the name appears with the whole of it: it is written under another one first."""
    incoming = path.with_name(f"{path.name}.incoming-{token}")
    try:
        create_private(calls, incoming, chunks)
        calls.link(incoming, path)
    finally:
        with suppress(FileNotFoundError):
            calls.unlink(incoming)
    sync_folder(calls, path.parent)


def sync_file(calls: OsCalls, handle: int, folder: Path) -> None:
    """Make what `handle` shows durable, and its name; closes it."""
    try:
        calls.fsync(handle)
    finally:
        calls.close(handle)
    sync_folder(calls, folder)


def try_names(calls: OsCalls, path: Path) -> None:
    """Find out whether a file can be made beside `path` and be given a second name. Raises OSError."""
    first, second = (path.with_name(f"{path.name}.try-{uuid.uuid4().hex}") for _ in range(2))
    try:
        create_private(calls, first, [b"\n"])
        calls.link(first, second)
    finally:
        for each in (first, second):
            with suppress(OSError):
                calls.unlink(each)


def sync_folder(calls: OsCalls, folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = calls.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        calls.fsync(handle)
    finally:
        calls.close(handle)


def address(url: str, path: Path) -> str:
    """How a `moved` event names the file at `path`, which `url` means.

    A relative name stays one, so that a state that is committed is found in every checkout; what leads out of
    the working folder does not.
    """
    name = PurePosixPath(url.removeprefix(_SCHEME))
    return absolute_address(path) if name.is_absolute() or ".." in name.parts else f"{_SCHEME}{name}"


def address_for(url: str, path: Path, source: Store | None) -> str:
    """As `address`, but never a name that could mean `source`, too."""
    name = address(url, path)
    return absolute_address(path) if source is not None and source.answers_to(name) else name


def absolute_address(path: Path) -> str:
    """As `address`, whatever the URL was."""
    return f"{_SCHEME}{os.path.realpath(path)}"


def means(known: str, path: Path) -> bool:
    """Does the address `known` mean the file at `path`? A relative one means every file whose path ends so."""
    if not known.startswith(_SCHEME):
        return False
    name = PurePosixPath(known.removeprefix(_SCHEME))
    if name.is_absolute():
        return os.path.realpath(name) == os.path.realpath(path)
    own = PurePosixPath(os.path.abspath(path))  # noqa: PTH100 - as it is named, links and all
    return bool(name.parts) and own.parts[-len(name.parts) :] == name.parts

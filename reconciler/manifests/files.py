"""Files as they are on disk: opened once, hashed while they are read, named as people named them."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

_CHUNK = 262_144
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class HashingFile:
    """A file opened for reading once; what is parsed and what is hashed are the same bytes.

    Attributes:
        head: its first bytes (at most 4), to recognise a byte order mark.

    Raises:
        OSError: on opening: missing, not readable, a directory, or no regular file (a pipe would hang).
    """

    def __init__(self, path: Path) -> None:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self._hash = hashlib.sha256()
        self._pending = self._file.read(_CHUNK)
        self.head = self._pending[:4]

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, all that is left for -1; b"" at the end."""
        if size < 0:
            parts = []
            while part := self.read(_CHUNK):
                parts.append(part)
            return b"".join(parts)
        if self._pending:
            data, self._pending = self._pending[:size], self._pending[size:]
        else:
            data = self._file.read(size)
        self._hash.update(data)
        return data

    def sha256(self) -> str:
        """SHA-256 (hex) of the whole file. Reads what was not read yet."""
        while self.read(_CHUNK):
            pass
        return self._hash.hexdigest()

    @property
    def has_bom(self) -> bool:
        """True when the file starts with the byte order mark of UTF-8."""
        return self.head.startswith(b"\xef\xbb\xbf")

    @property
    def is_utf16(self) -> bool:
        """True when the file starts with a byte order mark of UTF-16."""
        return self.head.startswith(_UTF16_MARKS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def reason(error: OSError | ValueError) -> str:
    """Why a file could not be opened or read, in the system's words without the path."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def printable_path(path: str) -> str:
    """`path` with bytes that are not UTF-8 written as escapes: a name on disk may hold any bytes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def shown(path: str | Path, root: Path) -> str:
    """How a path is named in diagnostics, digests and the state.

    Relative to `root` in POSIX form ("." for the root itself) when inside it, else as given.
    """
    given = os.path.normpath(path)
    if "\0" in given:
        return given  # no path of any system: whoever opens it will say so
    whole = os.path.normpath(root.absolute() / given)
    pairs = ((whole, os.path.normpath(root.absolute())), (os.path.realpath(whole), os.path.realpath(root)))
    for candidate, base in pairs:
        if PurePosixPath(candidate).is_relative_to(base):
            return printable_path(str(PurePosixPath(candidate).relative_to(base)))
    return printable_path(PurePosixPath(given).as_posix())


def inside_of(folder: str, name: str) -> str:
    """How `shown` names what is no link in a folder that it names `folder`."""
    name = printable_path(name)
    return name if folder == "." else f"{folder.rstrip('/')}/{name}"


def leaves(real: str, folder: str) -> bool:
    """True when the resolved path `real` is not inside the resolved `folder`."""
    return not PurePosixPath(real).is_relative_to(folder)

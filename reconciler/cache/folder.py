"""The folder of the cache: what is in it by name, and what is thrown out."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from reconciler.cache.layout import Contents, Writer

#: Bytes of a source that are derived again faster than a file is worth it.
LEAST: Final = 1_048_576

#: What may stay in the folder, in bytes and files. The ones used longest ago go first.
LARGEST_FOLDER: Final = 8 * 1_073_741_824
MOST_FILES: Final = 128

#: Seconds after which a file that somebody began to write and left is thrown out.
_ABANDONED: Final = 86_400.0

_ENDING: Final = ".cache"
_UNFINISHED: Final = ".part"


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of derived files, or none.

    Attributes:
        folder: where they are; None keeps nothing.
        least: bytes of a source from which on something is kept of it.
    """

    folder: Path | None = None
    least: int = LEAST

    @property
    def usable(self) -> bool:
        """Can anything be kept? Makes the folder."""
        return self._path("", create=True) is not None

    def find(self, name: str) -> Contents | None:
        """What this version of the program kept under `name`. Its `key` says what it was derived from."""
        path = self._path(name)
        if path is None:
            return None
        try:
            contents = Contents(path)
            os.utime(path)  # used now
            return contents if contents.key.get("made_by") == _made_by() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, name: str, key: Mapping[str, Any], write: Callable[[Writer], Mapping[str, Any]]) -> None:
        """Keep something under `name`, in place of what was there. Where that cannot be, nothing is kept.

        Args:
            name: that `find` asks for.
            key: what it is derived from.
            write: adds the blocks to a writer, and returns what the document says.
        """
        path = self._path(name, create=True)
        if path is None:
            return
        from tempfile import NamedTemporaryFile  # noqa: PLC0415 - imports much, and most commands write nothing

        with suppress(OSError), NamedTemporaryFile(dir=self.folder, suffix=_UNFINISHED, delete=False) as file:
            try:
                writer = Writer(cast("BinaryIO", file))
                writer.finish({**key, "made_by": _made_by()}, write(writer))
                file.flush()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
            self._throw_out(path)

    def _path(self, name: str, *, create: bool = False) -> Path | None:
        """Where `name` is kept; None unless the folder is there and nobody but this user can read or write it."""
        if self.folder is None:
            return None
        try:
            if create:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.lstat()
        except OSError:
            return None
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            return None
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()  # a path may hold any bytes
        return self.folder / f"{digest}{_ENDING}"

    def _throw_out(self, kept: Path) -> None:
        """Remove what was used longest ago, until the folder is small enough. `kept` stays."""
        files = []
        size = 0
        for entry in list(os.scandir(kept.parent)):
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # somebody else throws out too
                continue
            if entry.name.endswith(_ENDING):
                size += found.st_size
                files.append((found.st_mtime, entry.name, found.st_size))
            elif entry.name.endswith(_UNFINISHED) and time.time() - found.st_mtime > _ABANDONED:
                Path(entry.path).unlink(missing_ok=True)
        left = len(files)
        for _, name, bytes_ in sorted(files):
            if (size > LARGEST_FOLDER or left > MOST_FILES) and name != kept.name:
                (kept.parent / name).unlink(missing_ok=True)
                size, left = size - bytes_, left - 1


NO_CACHE: Final = Cache()


def cache_of(environment: Mapping[str, str]) -> Cache:
    """The cache that these variables ask for."""
    named = environment.get("RECONCILER_CACHE", "")
    if named:
        return NO_CACHE if named == "off" else Cache(Path(named).absolute())
    base, home = environment.get("XDG_CACHE_HOME", ""), environment.get("HOME", "")
    if not base.startswith("/"):  # such a one is to be ignored, says the specification of these variables
        base = f"{home}/.cache" if home.startswith("/") else ""
    return Cache(Path(base, "reconciler", "derived")) if base else NO_CACHE


@cache
def _made_by() -> str:
    """This very program: a file that another one made is not used. Developers change files without a version."""
    package = Path(__file__).parent.parent
    whole = sha256(f"{sys.version_info[:2]} {sys.byteorder} ".encode() + os.fsencode(package))
    whole.update((package / "__init__.py").read_bytes())  # names the version
    for room in ("cache", "manifests", "model", "state"):
        for entry in sorted(os.scandir(package / room), key=lambda entry: entry.name):
            if entry.name.endswith(".py"):
                found = entry.stat()
                whole.update(f"{room}/{entry.name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return whole.hexdigest()

"""Plan files: a plan as JSON, written so that nobody else reads it, read as if an attacker had written it.

The file is the document that `plan --format json` prints. It is pure ASCII, so no terminal and no encoding is
hurt by an id in it; ids stand one a line, so that two plans compare well line by line.

What reading refuses, with the place in the file: another major version, keys given twice, numbers that are not
numbers, nesting without end, anything that does not fit the schema, ids that cannot be ids, an id or an index
twice, counts and flags that its own actions do not bear out. Keys that this version does not know are ignored.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from reconciler.errors import PlanFileError
from reconciler.model.plan import Plan
from reconciler.planfile.decoding import SavedPlan, decode, decode_lines
from reconciler.planfile.encoding import encode

__all__ = ["SavedPlan", "decode", "encode", "read", "write"]


def read(path: str | Path) -> SavedPlan:
    """The plan in the file `path`, with the digest of that file.

    Raises:
        PlanFileError: it cannot be read, or `decode` refuses it.
    """
    try:
        with open(path, "rb", opener=_ordinary) as stream:
            saved = _read(stream, str(path))
    except FileNotFoundError:
        hint = "Make it with `reconciler plan --out FILE`."
        raise PlanFileError(f"{path}: there is no such plan file", hint=hint) from None
    except IsADirectoryError:
        raise PlanFileError(f"{path}: is a folder, not a plan file") from None
    except (OSError, ValueError) as problem:
        raise PlanFileError(f"{path}: cannot be read: {_reason(problem)}") from None
    return saved


def _read(stream: BinaryIO, path: str) -> SavedPlan:
    digest = hashlib.sha256()

    def lines() -> Iterator[bytes]:
        for line in stream:
            digest.update(line)
            yield line

    saved = decode_lines(lines())
    if saved is None:
        stream.seek(0)
        data = stream.read()
        saved, digest = decode(data, path=path), hashlib.sha256(data)
    return replace(saved, sha256=digest.hexdigest())


def write(
    path: str | Path,
    plan: Plan,
    *,
    tool_version: str,
    created_at: datetime,
    paths: Sequence[str] = (),
    only: str | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Save a plan: mode 0600, and whole or not at all. An older plan of that name is replaced, and nothing else.

    A symbolic link, a device or a pipe of that name is refused: replacing one is never what was meant, and
    writing through one would let whoever made it choose the file.

    Returns:
        the SHA-256 of the file, in hex.

    Raises:
        PlanFileError: it cannot be written; whatever stood there before still does.
    """
    target = Path(path)
    chunks = encode(
        plan, tool_version=tool_version, created_at=created_at, paths=paths, only=only, expires_at=expires_at
    )
    try:
        with suppress(FileNotFoundError):
            _check_replaceable(target)
        return _replace(target, chunks)
    except (OSError, ValueError) as problem:
        raise PlanFileError(f"{path}: the plan cannot be saved: {_reason(problem)}") from None


def _ordinary(path: str, flags: int) -> int:
    """Open a file to read, without waiting for the other end of a pipe and without reading a device for ever."""
    handle = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(handle).st_mode) or stat.S_ISDIR(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError("it is not an ordinary file")


def _check_replaceable(target: Path) -> None:
    """Only an older plan, or an empty file, makes way for a plan: never a state, a manifest or a lock.

    Raises:
        PlanFileError: something else stands there.
        FileNotFoundError: nothing does.
    """
    found = target.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise PlanFileError(f"{target}: is not an ordinary file", hint="Name a new file for the plan.")
    if target.name.endswith(".lock"):
        raise PlanFileError(f"{target}: looks like a lock", hint="Name a new file for the plan.")
    with target.open("rb") as stream:
        head = stream.read(4096)
    if head and not (head.lstrip().startswith(b"{") and b'"format_version"' in head and b'"fingerprint"' in head):
        raise PlanFileError(
            f"{target}: holds something else than a plan, and is not replaced",
            hint="Name a new file for the plan.",
        )


def _replace(target: Path, chunks: Iterable[str]) -> str:
    # mkstemp creates it with mode 0600 under a name nobody can guess, and never opens what is there already.
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    try:
        digest = hashlib.sha256()
        with os.fdopen(handle, "wb") as stream:
            for chunk in chunks:
                data = chunk.encode("ascii")
                digest.update(data)
                stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return digest.hexdigest()


def _reason(problem: Exception) -> str:
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)

"""From a state URL to its store."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.errors import UsageError
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.interface import Store
from reconciler.state.stores.memory import MemoryStore

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_USER_INFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)(.*)@", re.DOTALL)
_SECRET_OPTION = re.compile(
    r"((?:password|passwd|pwd|secret|token|passfile|credential|access_key|key_id|signature)[a-z_]*\s*=\s*)[^&\s]*",
    re.IGNORECASE,
)


def redact(url: str) -> str:
    """`url` without what could be a credential. The name of a user stays, a password never does.

    Everything up to the last `@` counts as user and password: an unescaped `/` or `@` in a password must not
    show the rest of it.
    """
    found = _USER_INFO.match(url)
    if found:
        user, colon, _ = found[2].partition(":")
        known = user if colon and re.fullmatch(r"[\w.%+-]*", user) else ""
        url = f"{found[1]}{known}{':' if known else ''}***@{url[found.end() :]}"
    return _SECRET_OPTION.sub(r"\1***", url)


def open_store(url: str, *, root: Path | None = None) -> Store:
    """The store of `url`: `file:PATH`, a bare path, or `memory:`. Nothing is read or created yet.

    Args:
        url: of the state.
        root: relative paths are relative to it; None: to the current directory.

    Raises:
        UsageError: not a URL of a store, or of one that this version does not have.
    """
    scheme = _SCHEME.match(url)
    kind = scheme[1].lower() if scheme else ""
    if kind == "memory":
        return MemoryStore()
    if kind in ("s3", "postgres", "postgresql"):
        raise UsageError(
            f"this version has no {'S3' if kind == 's3' else 'PostgreSQL'} store yet: {redact(url)}",
            hint="use --state file:PATH",
        )
    if kind and kind != "file":
        raise UsageError(
            f"not a state this program knows: {redact(url)}",
            hint="use --state file:PATH; a file whose name holds a colon is file:NAME",
        )
    path = _path(url) if kind == "file" else url
    if not path or "\0" in path:
        raise UsageError(f"no path in the state URL {url!r}", hint="use --state file:PATH")
    return FileStore((root or Path()) / path, url=f"file:{path}")


def _path(url: str) -> str:
    rest = url[len("file:") :]
    if not rest.startswith("//"):
        return rest
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise UsageError(
            f"{redact(url)} names a host; a file state is on this machine", hint="use file:PATH or file:///PATH"
        )
    return unquote(parts.path)

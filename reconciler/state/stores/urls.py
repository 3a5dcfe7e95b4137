"""From a state URL to its store."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from reconciler.errors import UsageError
from reconciler.model.target import is_loopback
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.interface import Store
from reconciler.state.stores.redact import redact

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
#: A URL after a stray character, or what libpq takes besides URLs: no path of a file.
_DATABASE = re.compile(r"://|\b(?:host|dbname|user|password)\s*=", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")
_PART = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.=-]+"
_PREFIX = re.compile(f"(?:{_PART}(?:/{_PART})*)?")


def open_store(url: str, *, root: Path | None = None, environment: Mapping[str, str] | None = None) -> Store:
    """The store of `url`. Nothing is read or created yet.

    Args:
        url: `file:PATH` or a bare path, `s3://BUCKET/PREFIX[?endpoint=URL]`, `postgresql://…[?log=NAME]`, or
            `memory:`.
        root: relative paths are relative to it; None: to the current directory.
        environment: variables: credentials, region and endpoint of S3; None: the process's own.

    Raises:
        UsageError: not a URL of a store; a package or the credentials for it are missing.
    """
    variables = os.environ if environment is None else environment
    scheme = _SCHEME.match(url)
    kind = scheme[1].lower() if scheme else ""
    if kind == "memory":
        from reconciler.state.stores.memory import MemoryStore  # noqa: PLC0415 - each only for who has it

        return MemoryStore(url.partition(":")[2])
    if kind == "s3":
        return _s3(url, variables)
    if kind in ("postgres", "postgresql"):
        from reconciler.state.stores.postgres_url import open_postgres  # noqa: PLC0415 - as above

        return open_postgres(url, variables)
    if (kind and kind != "file") or (not kind and _DATABASE.search(url)):
        raise UsageError(
            f"not a state this program knows: {redact(url)}",
            hint="use file:PATH, s3://BUCKET/PREFIX or postgresql://HOST/DATABASE; "
            "a file whose name holds a colon is file:NAME",
        )
    path = _path(url) if kind == "file" else url
    if not path or "\0" in path:
        raise UsageError(f"no path in the state URL {url!r}", hint="use --state file:PATH")
    return FileStore((root or Path()) / path, url=f"file:{path}")


def _s3(url: str, environment: Mapping[str, str]) -> Store:
    from reconciler.state.stores.s3 import S3Store  # noqa: PLC0415 - as above

    hint = "use s3://BUCKET/PREFIX; the endpoint of another service than AWS comes from AWS_ENDPOINT_URL_S3"
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        raise UsageError(f"not a URL: {redact(url)}", hint=hint) from None
    prefix = unquote(parts.path).strip("/")
    if not _BUCKET.fullmatch(parts.netloc) or parts.fragment or query.keys() - {"endpoint"}:
        raise UsageError(f"not the URL of a bucket: {redact(url.partition('?')[0])}", hint=hint)
    if not _PREFIX.fullmatch(prefix):
        raise UsageError(
            f"not a prefix for a state: {redact(url)}",
            hint="letters, digits and - _ . = separated by single slashes",
        )
    endpoint = query.get("endpoint", [""])[-1] or next(
        (environment[name] for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if environment.get(name)), ""
    )
    return S3Store(
        parts.netloc, prefix, endpoint=_endpoint(endpoint) if endpoint else None, environment=environment
    )


def _endpoint(url: str) -> str:
    """`url` as it is written everywhere. Ids and credentials pass through it: https, except on this machine."""
    hint = "https://HOST, without user, path or query"
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise UsageError(f"the endpoint of the S3 state is no URL: {redact(url)}", hint=hint) from None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"the endpoint of the S3 state is not usable: {redact(url)}", hint=hint)
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(f"the endpoint of the S3 state is not https: {redact(url)}", hint="use https")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


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

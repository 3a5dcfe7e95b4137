"""From a PostgreSQL URL to its store: what libpq makes of it, what of it may be shown, and how it connects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from reconciler.errors import UsageError
from reconciler.model.target import is_loopback
from reconciler.state.stores.interface import Store
from reconciler.state.stores.redact import redact

_LOG = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HOSTS = re.compile(r"[A-Za-z0-9_.:/,%-]*")
_PORTS = re.compile(r"[0-9,]*")
#: Parameters that are shown, because a command that is printed needs them. No other is.
_SHOWN = frozenset({
    "sslmode", "sslrootcert", "sslcert", "sslnegotiation", "gssencmode", "channel_binding", "target_session_attrs",
    "connect_timeout", "host", "hostaddr", "port", "service", "options", "application_name",
})  # fmt: skip
_HINT = (
    "use postgresql://[USER@]HOST[:PORT]/DATABASE[?log=NAME]; the password comes from PGPASSWORD or PGPASSFILE, "
    "or stands in the URL of RECONCILER_STATE with its special characters as %XX"
)

#: A dead network is noticed within a minute. Seconds, but for tcp_user_timeout: milliseconds.
_PATIENCE: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "reconciler",
}


def open_postgres(url: str, environment: Mapping[str, str]) -> Store:
    """The store of `url`, not yet connected.

    Args:
        url: as libpq takes it; `log` in its query names the log, "default" unless given.
        environment: what libpq reads besides.

    Raises:
        UsageError: it cannot be understood, or the driver is not installed. Never with a password in it.
    """
    from reconciler.state.stores.postgres import PostgresStore, require_psycopg  # noqa: PLC0415 - only who has one

    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise UsageError(f"not a URL: {redact(url)}", hint=_HINT) from None
    log = dict(query).get("log", "default")
    # What a password that is not escaped makes of the rest: parts of it would be taken for a database, a log.
    if "://" not in url or parts.fragment or "@" in parts.path or "@" in parts.query:
        raise UsageError(f"not the URL of a database: {redact(url)}", hint=_HINT)
    if not _LOG.fullmatch(log):
        hint = "log=NAME: up to 64 letters, digits and - _ ."
        raise UsageError(f"not the name of a log: {redact(url)}", hint=hint)
    rest = [(name, value) for name, value in query if name != "log"]
    dsn = f"postgresql://{parts.netloc}{parts.path}{_query(rest)}"
    require_psycopg(redact(url))
    known = _understood(dsn, url)
    place = f"{_hosts(known)}/{quote(str(known.get('dbname') or ''), safe='')}"
    shown = [(name, value) for name, value in rest if name in _SHOWN]
    named = [] if log == "default" else [("log", log)]
    user = f"{quote(str(known['user']), safe='')}@" if known.get("user") else ""
    return PostgresStore(
        dsn,
        url=f"postgresql://{user}{place}{_query([*shown, *named])}",
        address=f"postgresql://{place}{_query(named)}",
        log=log,
        options=_options(known, environment),
    )


def _query(parameters: list[tuple[str, str]]) -> str:
    return f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""


def _understood(dsn: str, url: str) -> dict[str, Any]:
    """What libpq makes of it. What it would only refuse later, quoting a password perhaps, is refused here."""
    from psycopg import ProgrammingError  # noqa: PLC0415 - as above
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - as above

    try:
        known: dict[str, Any] = conninfo_to_dict(dsn)
    except ProgrammingError:
        known = {"port": "?"}
    if not _PORTS.fullmatch(str(known.get("port") or "")) or not _HOSTS.fullmatch(str(known.get("host") or "")):
        raise UsageError(f"libpq does not understand {redact(url)}", hint=_HINT) from None
    return known


def _hosts(known: Mapping[str, Any]) -> str:
    """The hosts and ports as a URL has them."""
    hosts = str(known.get("host") or "").split(",")
    ports = str(known.get("port") or "").split(",")
    ports += ports[-1:] * (len(hosts) - len(ports))
    return ",".join(
        (f"[{host}]" if ":" in host else quote(host, safe="")) + (f":{port}" if port else "")
        for host, port in zip(hosts, ports, strict=False)
    )


def _options(known: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str | int]:
    """What neither the URL nor the environment says. Beyond this machine the connection is encrypted."""
    options = {name: value for name, value in _PATIENCE.items() if name not in known}
    host = str(known.get("host") or known.get("hostaddr") or environment.get("PGHOST") or "")
    remote = any(each and not each.startswith(("/", "@")) and not is_loopback(each) for each in host.split(","))
    if remote and "sslmode" not in known and not environment.get("PGSSLMODE"):
        options["sslmode"] = "require"
    return options

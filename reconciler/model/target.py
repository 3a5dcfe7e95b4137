"""Which index is meant: an index of an account at an API origin."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"

#: The origin of every loopback address: a rehearsal on one port is the same world as on another.
LOOPBACK = "loopback"


class Target(NamedTuple):
    """One index. `origin` as `origin_of` gives it, `account_id` 32 hex characters, `index` 1 to 64 bytes."""

    origin: str
    account_id: str
    index: str  # type: ignore[assignment]  # what tuples have of that name nobody needs of a target

    def __str__(self) -> str:
        return f"{self.account_id}/{self.index}"


def is_loopback(host: str) -> bool:
    """True for localhost and for addresses in 127.0.0.0/8 and ::1. Other names are whatever a resolver says."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin_of(base_url: str) -> str:
    """The origin that a log of the state is pinned to: scheme, host and port, or LOOPBACK.

    The path is left out: a proxy that adds one is still the same service.

    Raises:
        ValueError: not an http or https URL with a host.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http(s) URL with a host")  # not quoted: it may hold a password
    number = parts.port
    if is_loopback(parts.hostname):
        return LOOPBACK
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if number is None else f":{number}"
    if (parts.scheme, number) in (("https", 443), ("http", 80)):
        port = ""
    return f"{parts.scheme}://{host}{port}"

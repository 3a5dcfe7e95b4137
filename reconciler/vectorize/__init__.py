"""The Vectorize HTTP API as this program uses it: credentials, typed calls, typed errors, the budget.

`Client` makes one attempt a call. `Dispatcher` starts calls within the `Budget`, many at once, and tries
again what may pass. Neither knows what the other sends.

Names are resolved when they are first used: who only wants the base URL of a plan imports no client. Nothing
here imports httpx (120 ms) before the first `Client` is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.vectorize.answers import Accepted, IndexDescription, IndexInfo, Page
    from reconciler.vectorize.budget import UNLIMITED, Budget
    from reconciler.vectorize.classify import CursorExpired
    from reconciler.vectorize.client import ID_BYTES_MAXIMUM, Client
    from reconciler.vectorize.credentials import Credentials, base_url_from, credentials_from
    from reconciler.vectorize.dispatch import Dispatcher, Outcome
    from reconciler.vectorize.headers import Quota, RateHeaders
    from reconciler.vectorize.retry import RetryPolicy

_HOMES = {
    "answers": ("Accepted", "IndexDescription", "IndexInfo", "Page"),
    "budget": ("UNLIMITED", "Budget"),
    "classify": ("CursorExpired",),
    "client": ("ID_BYTES_MAXIMUM", "Client"),
    "credentials": ("Credentials", "base_url_from", "credentials_from"),
    "dispatch": ("Dispatcher", "Outcome"),
    "headers": ("Quota", "RateHeaders"),
    "retry": ("RetryPolicy",),
}
_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "ID_BYTES_MAXIMUM",
    "UNLIMITED",
    "Accepted",
    "Budget",
    "Client",
    "Credentials",
    "CursorExpired",
    "Dispatcher",
    "IndexDescription",
    "IndexInfo",
    "Outcome",
    "Page",
    "Quota",
    "RateHeaders",
    "RetryPolicy",
    "base_url_from",
    "credentials_from",
]


def __getattr__(name: str) -> Any:
    """Resolve a public name on first use."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

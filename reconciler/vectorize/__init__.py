"""The Vectorize HTTP API as this program uses it: credentials, typed calls, typed errors, the budget.

`Client` makes one attempt a call. `Dispatcher` starts calls within the `Budget`, many at once, and tries
again what may pass. Neither knows what the other sends.

Importing this package imports none of that, as most commands ask nobody; and httpx (120 ms) comes with the first
`Client`.
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

_HOME_OF = {
    "Accepted": "answers",
    "Budget": "budget",
    "Client": "client",
    "Credentials": "credentials",
    "CursorExpired": "classify",
    "Dispatcher": "dispatch",
    "ID_BYTES_MAXIMUM": "client",
    "IndexDescription": "answers",
    "IndexInfo": "answers",
    "Outcome": "dispatch",
    "Page": "answers",
    "Quota": "headers",
    "RateHeaders": "headers",
    "RetryPolicy": "retry",
    "UNLIMITED": "budget",
    "base_url_from": "credentials",
    "credentials_from": "credentials",
}

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
    """Resolve a name on first use."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value

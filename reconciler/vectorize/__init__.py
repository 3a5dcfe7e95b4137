"""The Vectorize HTTP API as this program uses it: credentials, typed calls, typed errors, the budget.

`Client` makes one attempt a call. `Dispatcher` starts calls within the `Budget`, many at once, and tries
again what may pass. Neither knows what the other sends.

Importing this package does not import httpx (120 ms): the first `Client` does.
"""

from __future__ import annotations

from reconciler.vectorize.answers import Accepted, IndexDescription, IndexInfo, Page
from reconciler.vectorize.budget import UNLIMITED, Budget
from reconciler.vectorize.classify import CursorExpired
from reconciler.vectorize.client import ID_BYTES_MAXIMUM, Client
from reconciler.vectorize.credentials import Credentials, base_url_from, credentials_from
from reconciler.vectorize.dispatch import Dispatcher, Outcome
from reconciler.vectorize.headers import Quota, RateHeaders
from reconciler.vectorize.retry import RetryPolicy

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

"""What can be set: the limits of the service, and how the emulator behaves within them.

"Documented" below means Cloudflare's public documentation; "measured" means observed on the live service by third
parties; "chosen" means that nothing is known and the number is this emulator's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["read", "write"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The numbers that the service enforces. Sizes of names and ids are bytes of UTF-8, never characters."""

    delete_ids: int = 100
    """Ids in one delete_by_ids request (measured: 100 pass, 101 are refused with 40007)."""
    get_ids: int = 20
    """Ids in one get_by_ids request (measured)."""
    list_count: int = 1_000
    """Largest page of a list (documented)."""
    list_default_count: int = 100
    """Page of a list that names no count (documented)."""
    upsert_vectors: int = 5_000
    """Vectors in one insert or upsert (documented)."""
    upload_bytes: int = 100 * 1024 * 1024
    """Largest request body: 100 MB (documented; binary megabytes are chosen)."""
    id_bytes: int = 64
    """Longest vector id (documented)."""
    name_bytes: int = 64
    """Longest index name (documented)."""
    namespace_bytes: int = 64
    """Longest namespace (documented)."""
    metadata_bytes: int = 10 * 1024
    """Metadata of one vector as compact JSON: 10 KiB (documented; the compact form is chosen)."""
    metadata_indexes: int = 10
    """Metadata indexes of one index (documented)."""
    indexed_string_bytes: int = 64
    """How much of a string a metadata index holds (documented)."""
    filter_bytes: int = 2_048
    """A query's filter as compact JSON must stay under this (documented)."""
    min_dimensions: int = 32
    """Fewest dimensions of an index (documented)."""
    max_dimensions: int = 1_536
    """Most dimensions of an index (documented)."""
    top_k: int = 100
    """Most matches of a query (documented)."""
    top_k_full: int = 50
    """Most matches of a query that also wants values or all metadata (documented)."""
    vectors_per_index: int = 20_000_000
    """Vectors in one index (documented)."""
    indexes_per_account: int = 50_000
    """Indexes in one account (documented)."""
    job_requests: int = 1_000
    """Requests that one job of the write-ahead log applies together (documented)."""
    job_vectors: int = 200_000
    """Vectors that one job of the write-ahead log applies together (documented)."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one emulator behaves. All times are seconds of the injected clock, except `latency`."""

    lag: float = 0.0
    """From the acceptance of a mutation to the earliest job that may apply it. 0: applied at once.
    The live service: median under 30, p99 under 120 (documented); users saw 10 to 80."""
    job_seconds: float = 0.0
    """Least time between two jobs of one index, so that a long log drains `job_requests` at a time."""
    count_lag: float = 0.0
    """How long `vectorCount` trails the pointer (measured: it does; by how long is unknown)."""
    cursor_lifetime: float = 900.0
    """Life of a list snapshot from its first page, and so of all its cursors (chosen)."""
    latency: float = 0.0
    """Real seconds that every API answer is held back."""
    budget: int | None = 1_200
    """Requests of one credential in `window` seconds (documented); None: no budget, no headers."""
    window: float = 300.0
    """The budget's window (documented: 5 minutes)."""
    burst: int | None = 200
    """Requests of one client address in a second (documented); None: no such limit."""
    tokens: Mapping[str, Role] | None = None
    """Bearer tokens and what each may do; None: any non-empty token may write."""
    keys: Mapping[tuple[str, str], Role] | None = None
    """(email, API key) pairs and what each may do; None: any non-empty pair may write."""
    accounts: frozenset[str] | None = None
    """Accounts that the credentials reach; None: every well-formed account id."""
    missing_index_status: int = 404
    """HTTP status that goes with codes 3000 and 3005 (measured: 404 and 400 are both seen)."""
    cursor_error_status: int = 400
    """HTTP status of an expired or foreign cursor (unknown; a client must take 400, 404 and 410 alike)."""
    limits: Limits = field(default_factory=Limits)

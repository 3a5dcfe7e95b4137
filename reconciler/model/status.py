"""The life of a tombstone."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Life of a tombstone.

    UNRESOLVED: an intent is recorded, no answer. ACCEPTED: the service gave a mutation id.
    PROCESSED: the service applied that mutation. VERIFIED: a read after that found the id missing.
    REAPPEARED: a later read found it present. RELEASED: no longer declared; history.
    """

    UNRESOLVED = "unresolved"
    ACCEPTED = "accepted"
    PROCESSED = "processed"
    VERIFIED = "verified"
    REAPPEARED = "reappeared"
    RELEASED = "released"


#: A batch the service answered with a definite no: nothing was deleted, no tombstone comes of it.
REJECTED: Final = "rejected"

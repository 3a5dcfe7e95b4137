"""Sets of a few ids with as many chunks as those of millions have."""

from __future__ import annotations

from reconciler.model.chunks import Chunk
from reconciler.model.idset import IdSet


def cut_otherwise(ids: IdSet, size: int, *, known: bool) -> IdSet:
    """The same set, in chunks that end elsewhere; its digest is known, or not."""
    raw = [each.encode() for each in ids]
    parts = [raw[start : start + size] for start in range(0, len(raw), size)]
    made = tuple(Chunk(b"\xff".join(part), len(part)) for part in parts)
    return IdSet.of_chunks(made, ids.digest() if known else "")

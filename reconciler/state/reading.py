"""The state as a value, for those who only read: folded, or as it was folded before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from reconciler.cache import Cache
from reconciler.clock import Clock
from reconciler.model.tombstones import Projection
from reconciler.state import snapshots
from reconciler.state.chain import Chain
from reconciler.state.frames import hash_of
from reconciler.state.journal import Journal
from reconciler.state.stores.interface import Store

#: Bytes of a log from which on parsing it takes as long as starting a process does several times over.
_LARGE: Final = 4 * 1_048_576


def read_projection(
    store: Store,
    clock: Clock,
    cache: Cache,
    meanwhile: Callable[[], object] | None = None,
    elsewhere: Callable[[Callable[[], object]], bool] | None = None,
) -> Projection:
    """What the log in `store` adds up to; empty when there is none. Takes no lock.

    The chain is verified from its first byte. With a snapshot of just this log its frames are hashed, not parsed.

    Args:
        store: has the log.
        clock: see Journal.
        cache: may have a snapshot, and gets one.
        meanwhile: called before a large log is parsed: to begin what can be done beside that.
        elsewhere: begins what it is given in another process; False when it cannot. It is given the keeping of the
            snapshot of a large log.

    Raises:
        StateDamaged, StateTooNew, StoreUnavailable, StateError: as `Journal.load`.
        CacheDamaged: when something of the snapshot is asked for.
    """
    kept = _kept(store, cache) if store.local else None
    if kept is not None:
        return kept
    large = store.size() >= _LARGE
    if meanwhile is not None and large:
        meanwhile()
    projection, size = _folded(store, clock)
    keep = partial(_keep, store, cache, projection, size)
    if elsewhere is None or not (large and store.local) or not elsewhere(keep):
        keep()
    return projection


def keep_projection(journal: Journal, cache: Cache) -> None:
    """Keep what `journal` adds up to as far as it has been read, if that is worth it."""
    _keep(journal.store, cache, journal.projection(), journal.size)


def _keep(store: Store, cache: Cache, projection: Projection, size: int) -> None:
    if store.local:  # the time that others take goes into reading, and nothing can spare it
        snapshots.keep(cache, projection, size)


def _folded(store: Store, clock: Clock) -> tuple[Projection, int]:
    """The projection of the log, and its bytes. What folding it took is free again then, for both processes."""
    journal = Journal(store, clock)
    return journal.load(), journal.size


def _kept(store: Store, cache: Cache) -> Projection | None:
    lines = store.read(0)
    first = next(lines, None)
    if first is None:
        return None
    chain = Chain()
    chain.advance(chain.verify(first))
    snapshot = snapshots.find(cache, chain.lineage)
    return snapshot.projection() if snapshot is not None and _ends_at(lines, chain, snapshot) else None


def _ends_at(lines: Iterator[bytes], chain: Chain, snapshot: snapshots.Snapshot) -> bool:
    """Does the log, of which `chain` has followed the first frame, end at the head of `snapshot`?"""
    position, head = chain.position, chain.head
    for line in lines:
        position += 1
        digest = hash_of(line, position, head) if position <= snapshot.position else None
        if digest is None:
            return False
        head = digest
    return (position, head) == (snapshot.position, snapshot.head)

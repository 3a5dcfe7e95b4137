"""Operations on the state itself: create, unlock, compare with a remembered head; and what it knows of ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from reconciler.cache import NO_CACHE
from reconciler.errors import StateMissing
from reconciler.model.desired import Keep
from reconciler.model.diagnostic import Severity
from reconciler.model.idset import IdSet
from reconciler.model.tombstones import Projection, Status
from reconciler.operations.context import Context, load
from reconciler.operations.planning import read_state
from reconciler.operations.refusing import check_manifests
from reconciler.state.history import HistoryEntry, history
from reconciler.state.journal import Journal
from reconciler.state.journal import create as create_state
from reconciler.state.run import unlock as unlock_run
from reconciler.state.run import whoami


def init(context: Context) -> Projection:
    """Create an empty state.

    Raises:
        StateError: there is one already, or it cannot be created there.
    """
    store = context.store()
    try:
        return create_state(store, context.clock).projection()
    finally:
        store.close()


def unlock(context: Context, run: str, reason: str) -> Projection:
    """Take the state away from the run that holds it. It can start no further request after that.

    Raises:
        StateError: no run, or another one, holds it.
    """
    store = context.store()
    try:
        if not store.exists():
            raise StateMissing(f"there is no state at {store.url}", hint="There is nothing to unlock.")
        journal = Journal(store, context.clock)
        journal.load()
        who = whoami(context.environment)
        unlock_run(journal, context.clock, run, reason=reason, by=f"{who['actor']}@{who['host']}")
        return journal.projection()
    finally:
        store.close()


def check_head(context: Context, head: str) -> Projection:
    """Compare the log with a head that somebody remembered: `position:hash`.

    Raises:
        StateDamaged: something that was there then is missing or different now.
        StateError: it is no head, or the log cannot be read.
    """
    store = context.store()
    try:
        if not store.exists():
            raise StateMissing(
                f"there is no state at {store.url}, but a head is remembered", hint="The state was lost or moved."
            )
        journal = Journal(store, context.clock)
        journal.check_head(head)
        return journal.projection()
    finally:
        store.close()


def history_of(context: Context, id_: str, index: str | None = None) -> list[HistoryEntry]:
    """Everything the log says of one id: every mutation and every read, in order.

    Args:
        context: see Context.
        id_: the id.
        index: of this index alone; None = of all.

    Raises:
        StateError: the log cannot be read.
    """
    store = context.store()
    try:
        entries = history(store, id_) if store.exists() else iter(())
        return [entry for entry in entries if index in (None, entry.target.index)]
    finally:
        store.close()


@dataclass(frozen=True)
class IdCheck:
    """What is known of one index's ids: `declared` absent by a manifest, and further ones with a tombstone.

    What a declared prefix matches is declared too, unless one of `keeps` protects it: it is never deleted then.
    `known`: a manifest declares something for the index, or the state remembers it; else its name may be mistyped.
    """

    declared: IdSet
    tombstones: IdSet
    prefixes: tuple[str, ...] = ()
    keeps: tuple[Keep, ...] = ()
    known: bool = True

    def statuses(self, ids: Sequence[str]) -> list[str]:
        """Of each of `ids`: `declared`, `tombstone` or `free`. Thousands at once cost little more than one."""
        raw = [id_.encode("utf-8", "surrogatepass") for id_ in ids]
        asked = IdSet.of_raw(list(filter(None, raw)))
        declared = frozenset(chain.from_iterable((asked & self.declared).raw()))
        remembered = frozenset(chain.from_iterable((asked & self.tombstones).raw()))
        found = []
        for raw_id, id_ in zip(raw, ids, strict=True):
            if raw_id in declared or self._matched(id_):
                found.append("declared")
            else:
                found.append("tombstone" if raw_id in remembered else "free")
        return found

    def _matched(self, id_: str) -> bool:
        return id_.startswith(self.prefixes) and not any(keep.holds(id_) for keep in self.keeps)


def id_check(context: Context, index: str) -> IdCheck:
    """What manifests and state say of the ids of `index`, in any account. Offline.

    Raises:
        ManifestError: the manifests cannot be used: an answer might be wrong.
        StateError: the state cannot be read.
    """
    projection = read_state(context)
    desired = load(context, projection=projection, conflicts=Severity.REFUSAL)
    check_manifests(desired.diagnostics)
    targets = [each for each in desired.targets if each.target.index == index]
    remembered = [each for each in projection.targets.values() if each.target.index == index]
    open_statuses = [status for status in Status if status is not Status.RELEASED]
    return IdCheck(
        declared=IdSet.union(each.ids for each in targets),
        tombstones=IdSet.union(record.ids(*open_statuses) for record in remembered if not record.closed),
        prefixes=tuple(prefix.text for each in targets for prefix in each.prefixes),
        keeps=tuple(keep for each in targets for keep in each.keeps),
        known=bool(targets or remembered),
    )


def check_ids(context: Context, index: str, ids: Iterable[str]) -> Iterator[tuple[str, str]]:
    """For each of `ids`, in order: (id, `declared` | `tombstone` | `free`). Streams. See `id_check`."""
    known = id_check(context, index)
    for some in [ids] if isinstance(ids, Sequence) else ([id_] for id_ in ids):
        yield from zip(some, known.statuses(some), strict=True)


def verify_chain(context: Context) -> Projection:
    """The state, every frame of it read and folded, whatever is kept of it elsewhere.

    Raises:
        StateError: it cannot be read, or does not verify.
    """
    return read_state(replace(context, cache=NO_CACHE))

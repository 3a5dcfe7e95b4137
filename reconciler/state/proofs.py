"""When ids were last proven absent: which read said so, and what had been sent before. One pass over the log."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.model.tombstones import Status, TargetRecord, place
from reconciler.state import events as ev
from reconciler.state.fold import Fold
from reconciler.state.frames import Frame
from reconciler.state.stories import Log, Proof, Said, told_of

__all__ = ["Log", "Proof", "proofs", "proofs_of", "read"]

_STATUSES: dict[type[ev.Event], Status] = {
    ev.Verified: Status.VERIFIED,
    ev.Reappeared: Status.REAPPEARED,
    ev.Released: Status.RELEASED,
}


def read(frames: Iterable[Frame]) -> Log:
    """Fold `frames`, and keep what they say of reads.

    Raises:
        StateDamaged: the log contradicts itself.
    """
    fold, log = Fold(), Log()
    for frame in frames:
        fold.apply(frame)
        for number, event in enumerate(frame.events):
            stamp = place(frame.position, number)
            if isinstance(event, ev.Verified | ev.Reappeared | ev.Released):
                log.said.setdefault(event.target, []).append(_said(stamp, frame, event))
            elif isinstance(event, ev.Failed):
                log.refused[event.batch] = stamp
            elif isinstance(event, ev.Declared):
                log.declared[event.declaration] = stamp
    log.projection = fold.snapshot()
    return log


def _said(stamp: int, frame: Frame, event: ev.Verified | ev.Reappeared | ev.Released) -> Said:
    declared: list[tuple[tuple[int, ...], IdSet]] = []
    start = 0
    for numbers, count in getattr(event, "declarations", ()):
        declared.append((tuple(numbers), IdSet.of(event.ids[start : start + count])))
        start += count
    return Said(
        stamp=stamp,
        position=frame.position,
        at=frame.at,
        run=frame.run,
        what=_STATUSES[type(event)],
        how=getattr(event, "how", ""),
        batches=getattr(event, "batches", ()),
        excepted=IdSet.of(getattr(event, "except_ids", ())),
        ids=IdSet.of(event.ids),
        declared=tuple(declared),
    )


def proofs(frames: Iterable[Frame], target: int | Target, ids: Iterable[str]) -> dict[str, Proof]:
    """When each of `ids` was last proven absent, by which read, after which mutation, and where it is declared.

    Args:
        frames: the whole log, in order (`walk`).
        target: the number of a target, or the index itself: then the one in force.
        ids: any ids; those that no read ever found missing are not in the result.

    Raises:
        StateDamaged: the log contradicts itself.
    """
    log = read(frames)
    record = log.target(target)
    return {} if record is None else proofs_of(log, record, IdSet.of(ids))


def proofs_of(log: Log, record: TargetRecord, ids: IdSet) -> dict[str, Proof]:
    """As `proofs`, of a log that was read."""
    return {
        raw.decode(): told.story.proof
        for told in told_of(log, record, [ids], declared=ids)
        if told.story.proof is not None
        for raw in told.ids
    }

"""When ids were last proven absent: which read said so, and what had been sent before. One pass over the log.

Statuses are the projection's alone (see `fold`). What is kept here beside it is what the projection drops: when
and how each read was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.model.tombstones import (
    REJECTED,
    BatchRecord,
    DeclarationRecord,
    Projection,
    Status,
    TargetRecord,
    place,
)
from reconciler.state import events as ev
from reconciler.state.fold import Fold
from reconciler.state.frames import Frame

_STATUSES: dict[type[ev.Event], Status] = {
    ev.Verified: Status.VERIFIED,
    ev.Reappeared: Status.REAPPEARED,
    ev.Released: Status.RELEASED,
}


@dataclass(frozen=True, slots=True)
class Said:
    """A read or a release, as the log has it.

    Attributes:
        stamp: its place in the log (see `place`).
        position: of the frame.
        at: RFC 3339.
        run: that wrote it.
        what: VERIFIED, REAPPEARED or RELEASED.
        how: of a read: "get_by_ids", "list" and the like.
        batches: whole batches it names, as ranges; it says nothing of `excepted`.
        ids: those it names singly.
        declared: (numbers of declarations, ids), of `ids`.
    """

    stamp: int
    position: int
    at: str
    run: str
    what: Status
    how: str
    batches: ev.Ranges
    excepted: IdSet
    ids: IdSet
    declared: tuple[tuple[tuple[int, ...], IdSet], ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """The last read that found an id missing, after which it may have come back all the same.

    Attributes:
        at: RFC 3339, of that read.
        position: of its frame.
        how: "get_by_ids", "list" and the like.
        since: RFC 3339 of the first read that found it missing and that nothing has contradicted up to `at`.
        batch: the batch that carried the id then; None when it was never sent, being absent already.
        mutation_id: of that batch.
        declarations: where the id is declared; none when it is released.
        back_at: RFC 3339 of the last read that found the id present since; None while there is none.
    """

    at: str
    position: int
    how: str
    since: str
    batch: int | None = None
    mutation_id: str | None = None
    declarations: tuple[DeclarationRecord, ...] = ()
    back_at: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What reads said of one id. `back_at`: of the last that found it present, if none found it missing since."""

    proof: Proof | None = None
    back_at: str | None = None


@dataclass(slots=True)
class Log:
    """A whole log: what it adds up to, and what it says of reads.

    Attributes:
        projection: the state.
        said: by number of a target: reads and releases, in order of the log.
        refused: by batch: the place of the answer that may have been its final refusal.
        declared: by number of a declaration: its place.
    """

    projection: Projection = field(default_factory=Projection)
    said: dict[int, list[Said]] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    declared: dict[int, int] = field(default_factory=dict)

    def target(self, target: int | Target) -> TargetRecord | None:
        """By number, or the one in force by name."""
        if isinstance(target, Target):
            return self.projection.live(target)
        return self.projection.targets.get(target)


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
    stories = stories_of(log, record, ids)
    return {each: story.proof for each, story in stories.items() if story.proof is not None}


def stories_of(log: Log, record: TargetRecord, ids: IdSet) -> dict[str, Story]:
    """What reads said of each of `ids`. Takes time for these, the batches, and what was said of either."""
    said = log.said.get(record.number, [])
    wanted = frozenset(ids)  # a look-up in it costs nothing, and there is one for each id of each batch
    carried: dict[str, list[BatchRecord]] = {}
    for batch in record.batches:
        for each in batch.ids:
            if each in wanted:
                carried.setdefault(each, []).append(batch)
    named: dict[str, list[Said]] = {}
    excepted: dict[str, set[int]] = {}
    for each_said in said:
        for each in each_said.ids & ids:
            named.setdefault(each, []).append(each_said)
        for each in each_said.excepted & ids:
            excepted.setdefault(each, set()).add(each_said.stamp)
    changes = _changes(said, {batch.number for batches in carried.values() for batch in batches})
    found: dict[str, Story] = {}
    common: dict[tuple[int, tuple[int, ...]], Story] = {}
    declared = {each: numbers for numbers, part in record.by_declaration for each in part if each in wanted}
    for each in wanted:
        numbers = declared.get(each, ())
        declarations = tuple(log.projection.declarations[number] for number in numbers)
        batches = carried.get(each, [])
        if len(batches) == 1 and each not in named and each not in excepted and batches[0].status != REJECTED:
            # Nearly all ids: what is known of one is known of all that came in the same batch.
            key = batches[0].number, numbers
            if key not in common:
                whole = [(key[0], said) for said in changes.get(key[0], ())]
                common[key] = _replayed(log, batches, (), whole, declarations)
            found[each] = common[key]
        else:
            out = excepted.get(each, set())
            whole = [(b.number, s) for b in batches for s in changes.get(b.number, ()) if s.stamp not in out]
            found[each] = _replayed(log, batches, named.get(each, ()), whole, declarations)
    return found


def _changes(said: Sequence[Said], batches: set[int]) -> dict[int, list[Said]]:
    """What was said of whole batches, of those in `batches`."""
    found: dict[int, list[Said]] = {}
    for each in said:
        for first, last in each.batches:
            for number in range(first, last + 1):
                if number in batches:
                    found.setdefault(number, []).append(each)
    return found


def _replayed(
    log: Log,
    batches: Sequence[BatchRecord],
    named: Sequence[Said],
    whole: Sequence[tuple[int, Said]],
    declarations: tuple[DeclarationRecord, ...],
) -> Story:
    """The story of one id, from everything that was said of it. The rules are those of `fold`."""
    entries: list[tuple[int, int, Said | BatchRecord]] = [(said.stamp, 0, said) for said in named]
    entries += [(said.stamp, number, said) for number, said in whole]
    for batch in batches:
        entries.append((batch.intent, 0, batch))
        if batch.status == REJECTED:
            entries.append((log.refused[batch.number], 0, batch))
    carriers: list[BatchRecord] = []
    carrier: BatchRecord | None = None
    last: Said | None = None
    first: Said | None = None
    back: Said | None = None
    released = False
    for stamp, number, what in sorted(entries, key=lambda entry: entry[:2]):
        if isinstance(what, BatchRecord):
            if stamp == what.intent:
                carriers.append(what)
                released = False
            else:
                carriers.remove(what)  # it deleted nothing: the batch before it is the last again
        elif not number or (not released and carriers and carriers[-1].number == number):
            released = what.what is Status.RELEASED
            if what.what is Status.VERIFIED:
                carrier = carriers[-1] if carriers else None
                first = first if first is not None and back is None else what
                last, back = what, None
            elif what.what is Status.REAPPEARED:
                back = what
    back_at = None if back is None else back.at
    if last is None or first is None:
        return Story(None, back_at)
    proof = Proof(
        at=last.at,
        position=last.position,
        how=last.how,
        since=first.at,
        batch=None if carrier is None else carrier.number,
        mutation_id=None if carrier is None else carrier.mutation_id,
        declarations=declarations,
        back_at=back_at,
    )
    return Story(proof, back_at)

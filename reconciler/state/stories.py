"""What the log says of ids: requests that named them, and reads that found them absent or present.

Statuses are the projection's alone (see `fold`). What is kept here beside it is what the projection drops: when
and how each read was made.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from reconciler.model.chunks import SEPARATOR
from reconciler.model.idset import IdSet
from reconciler.model.labels import borne
from reconciler.model.target import Target
from reconciler.model.tombstones import (
    REJECTED,
    BatchRecord,
    DeclarationRecord,
    Projection,
    Status,
    TargetRecord,
)
from reconciler.state import events as ev

#: So few ids are looked for in all that the log names.
_FEW: Final = 10_000

#: Different things said of ids that are remembered while ids are gone through.
_REMEMBERED: Final = 16_384


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


class Carried(NamedTuple):
    """A request named the id.

    Attributes:
        row: the place of its batch among those of the target.
        numbers: of the declarations that the id came from there.
        refused: the service refused it for good.
    """

    row: int
    numbers: tuple[int, ...]
    refused: bool


class Told(NamedTuple):
    """What was said of some ids.

    Attributes:
        asks: the places, among the sets that were asked for, of those that hold the ids; at least one.
        carried: the requests that named them.
        story: what reads said.
        ids: as UTF-8, at least one.
    """

    asks: tuple[int, ...]
    carried: tuple[Carried, ...]
    story: Story
    ids: list[bytes]


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


def told_of(log: Log, record: TargetRecord, asked: Sequence[IdSet], *, declared: IdSet) -> Iterator[Told]:
    """What was said of each id that is in one of `asked`. The same may be told several times, of other ids.

    Takes time about linear in the ids of the log and of `asked`, and in what was said of them: few ids in many
    sets cost no more than many in few. Memory does not grow with the ids.

    Args:
        log: that was read.
        record: the target.
        asked: ids of it, or any.
        declared: ids of which it matters where they are declared; proofs of others say nothing of that.
    """
    marks = _Marks(record, log.said.get(record.number, ()), asked, declared)
    whole = _Whole(log.said.get(record.number, ()))

    @lru_cache(_REMEMBERED)
    def told(numbers: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[Carried, ...], Story] | None:
        found = [marks.meaning[number] for number in numbers]
        asks = tuple(each.place for each in found if isinstance(each, _Asked))
        if not asks:
            return None
        carried = tuple(each for each in found if isinstance(each, Carried))
        left_out = {each.said.stamp for each in found if isinstance(each, _LeftOut)}
        batches = [record.batches[each.row] for each in carried]
        story = _replayed(
            log,
            batches,
            [each for each in found if isinstance(each, Said)],
            [(b.number, said) for b in batches for said in whole.of(b.number) if said.stamp not in left_out],
            tuple(log.projection.declarations[n] for d in found if isinstance(d, _Declared) for n in d.numbers),
        )
        return asks, carried, story

    for numbers, ids in borne(marks.of_batches(), marks.of_others()):
        if (what := told(numbers)) is not None:
            yield Told(*what, ids)


class _LeftOut(NamedTuple):
    """An event named the id as one that it says nothing of."""

    said: Said


class _Declared(NamedTuple):
    """It is declared in these."""

    numbers: tuple[int, ...]


class _Asked(NamedTuple):
    """It is asked for."""

    place: int


_Meaning = Carried | Said | _LeftOut | _Declared | _Asked


class _Marks:
    """Everything that names ids of a target, with a number for each.

    Attributes:
        meaning: of each number; it grows while the blocks are taken.
    """

    def __init__(
        self, record: TargetRecord, said: Sequence[Said], asked: Sequence[IdSet], declared: IdSet
    ) -> None:
        self._record = record
        self._said = said
        self._asked = asked
        self._declared = declared
        # Few are looked for in every block; else all are taken, and those that nobody asked for are passed over.
        few = sum(map(len, asked)) <= _FEW
        self._only = frozenset(raw for each in asked for some in each.raw() for raw in some) if few else None
        self.meaning: list[_Meaning] = []

    def of_batches(self) -> Iterator[tuple[int, bytes]]:
        """The requests."""
        for row, batch in enumerate(self._record.batches):
            for numbers, ids in batch.declared:
                yield from self._marked(Carried(row, numbers, refused=batch.status == REJECTED), ids)

    def of_others(self) -> Iterator[tuple[int, bytes]]:
        """What is asked, what was said of ids singly, and where they are declared."""
        for place, ids in enumerate(self._asked):
            yield from self._marked(_Asked(place), ids)
        for said in self._said:
            yield from self._marked(said, said.ids)
            yield from self._marked(_LeftOut(said), said.excepted)
        if self._declared:
            for numbers, ids in self._record.by_declaration:
                yield from self._marked(_Declared(numbers), ids & self._declared)

    def _marked(self, meaning: _Meaning, ids: IdSet) -> Iterator[tuple[int, bytes]]:
        number = len(self.meaning)
        for block in ids.blocks() if self._only is None else _chosen(ids, self._only):
            if number == len(self.meaning):
                self.meaning.append(meaning)
            yield number, block


def _chosen(ids: IdSet, only: frozenset[bytes]) -> Iterator[bytes]:
    """The blocks of those of `ids` that are in `only`."""
    for some in ids.raw():
        if chosen := [raw for raw in some if raw in only]:
            yield SEPARATOR.join(chosen)


class _Whole:
    """What was said of whole batches."""

    def __init__(self, said: Iterable[Said]) -> None:
        spans = [(first, last + 1, each) for each in said for first, last in each.batches]
        #: Between two of these, the same was said of every batch.
        self._bounds = sorted({bound for first, end, _ in spans for bound in (first, end)})
        self._said: list[list[Said]] = [[] for _ in self._bounds]
        for first, end, each in spans:
            for place in range(bisect_left(self._bounds, first), bisect_left(self._bounds, end)):
                self._said[place].append(each)

    def of(self, number: int) -> Sequence[Said]:
        """Of the batch of this number, in order of the log."""
        place = bisect_right(self._bounds, number) - 1
        return self._said[place] if place >= 0 else ()


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

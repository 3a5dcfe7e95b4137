"""A set of vector ids, for one id or twenty million: the only place that knows how ids are held.

A set is a sequence of chunks (see `chunks`): blocks of bytes, in memory or in a scratch file. A million ids of 36
characters cost 37 MB and no object per id. The order of the bytes is the order of the code points, so it is also
Python's order of `str`.

Operations go through the chunks of both sides once and take apart only those in which the two differ: what is
equal is compared as blocks, what does not overlap is not read at all, and results share chunks with what they were
made from.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from operator import attrgetter

from reconciler.model.building import LARGE, ChunkBuilder
from reconciler.model.chunks import SEPARATOR, Chunk, ChunkWriter, Piece, first_of, joined, lower_bound, unique
from reconciler.model.merging import beside, looked_up, merged, overlapping, shared, told_apart

#: Runs that are merged at once; more are first put together.
_RUNS = 64

_first, _last = attrgetter("first"), attrgetter("last")
_ids_in_chunk, _size = attrgetter("count"), attrgetter("size")
_ids_in_set = attrgetter("_count")


class IdSet:
    """An immutable sorted set of ids.

    Build it with `IdSet.of(ids)`, or with `IdSetBuilder` when the ids arrive as a stream.
    Iterating yields `str` in order. `|`, `&`, `-`, `<=`, `in`, `len`, `==` and `hash` mean what they mean on sets.
    """

    __slots__ = ("_chunks", "_count", "_digest")

    def __init__(self) -> None:
        """The empty set."""
        self._chunks: tuple[Chunk, ...] = ()
        self._count = 0
        self._digest = ""

    @classmethod
    def of(cls, ids: Iterable[str]) -> IdSet:
        """The set of `ids`, in any order, repeated or not. An id is never empty.

        Raises:
            UnicodeEncodeError: an id holds half of a surrogate pair.
        """
        return cls.of_raw([id_.encode() for id_ in ids])

    @classmethod
    def of_raw(cls, ids: list[bytes]) -> IdSet:
        """As `of`, of ids that are UTF-8 already. The list is sorted in place."""
        return cls._written([unique(ids)])

    @classmethod
    def of_block(cls, block: bytes) -> IdSet:
        """The set of ids that are UTF-8, in order, each once, and joined by 0xFF already."""
        return cls._written([block])

    @classmethod
    def union(cls, sets: Iterable[IdSet]) -> IdSet:
        """Everything that is in any of `sets`. They are taken one by one: a hundred thousand need no room."""
        given = filter(_ids_in_set, sets)
        present = list(islice(given, _RUNS))
        if len(present) == _RUNS:
            present = _put_together(chain(present, given))
        if len(present) <= 1:
            return present[0] if present else cls()
        if all(each.is_known_to_be(present[0]) for each in present):
            return present[0]
        # Sets share chunks: one that is there several times is one.
        chunks = sorted(dict.fromkeys(chain.from_iterable(each._chunks for each in present)), key=_first)
        if all(one.last < other.first for one, other in pairwise(chunks)):
            return cls._written(chunks)
        return cls._written(merged(each._chunks for each in present))

    @classmethod
    def _written(cls, pieces: Iterable[Piece]) -> IdSet:
        writer = ChunkWriter()
        for piece in pieces:
            writer.add(piece)
        return cls.of_chunks(writer.done())

    @classmethod
    def of_chunks(cls, chunks: tuple[Chunk, ...], digest: str = "") -> IdSet:
        """The set of the ids in `chunks`, which stand in order and do not overlap; `digest` if it is known."""
        made = cls()
        made._chunks = chunks
        made._count = sum(map(_ids_in_chunk, chunks))
        made._digest = digest
        return made

    @property
    def pieces(self) -> tuple[Chunk, ...]:
        """What it is made of."""
        return self._chunks

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return map(bytes.decode, chain.from_iterable(self.raw()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdSet):
            return NotImplemented
        if self.is_known_to_be(other) or (self._digest and other._digest):
            return self.is_known_to_be(other)
        return self._begins_as(other) and self.digest() == other.digest()

    def is_known_to_be(self, other: IdSet) -> bool:
        """They are equal, which is seen without looking at ids. False: who knows."""
        return self._chunks == other._chunks or bool(self._digest and self._digest == other._digest)

    def _begins_as(self, other: IdSet) -> bool:
        """They may be equal: as many ids, the same bounds, and the same ids in what the first chunks have."""
        if self._count != other._count or not self:
            return self._count == other._count
        one, another = self._chunks[0], other._chunks[0]
        if one.first != another.first or self._chunks[-1].last != other._chunks[-1].last:
            return False
        both = min(one.size, another.size)
        return one.block()[:both] == another.block()[:both]

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        return f"<IdSet of {self._count}>"

    def __contains__(self, id_: str) -> bool:
        return any(looked_up(self._chunks, [id_.encode("utf-8", "surrogatepass")]))

    def __or__(self, other: IdSet) -> IdSet:
        return IdSet.union((self, other)) if other._count else self

    def __and__(self, other: IdSet) -> IdSet:
        if self.is_known_to_be(other):
            return self
        if not self or not other:
            return IdSet()
        few, many = (self, other) if len(self) <= len(other) else (other, self)
        return IdSet._written(few._common(many))

    def __sub__(self, other: IdSet) -> IdSet:
        if not other._count:
            return self
        return IdSet() if self.is_known_to_be(other) else IdSet._written(self._without(other))

    def __le__(self, other: IdSet) -> bool:
        return self.is_known_to_be(other) or (self._count <= other._count and not any(self._without(other)))

    def compared(self, other: IdSet) -> tuple[IdSet, IdSet, IdSet]:
        """What is in this set alone, in both, and in `other` alone: one pass for all three."""
        if self.is_known_to_be(other) or ((self._digest or other._digest) and self == other):
            return IdSet(), self, IdSet()  # one digest more is found out faster than every id is looked at
        if not (self._count and other._count):
            return self, IdSet(), other
        mine, both, others = ChunkWriter(), ChunkWriter(), ChunkWriter()
        for left, right in beside(self._chunks, other._chunks):
            if left is None or right is None:
                (mine if right is None else others).add(left or right or b"")
            elif (here := joined(left)) == (there := joined(right)):
                both.add(left)
            else:
                alone, common, added = told_apart(here, there)
                mine.add(alone)
                both.add(common)
                others.add(added)
        return tuple(map(IdSet.of_chunks, (mine.done(), both.done(), others.done())))  # type: ignore[return-value]

    def isdisjoint(self, other: IdSet) -> bool:
        """True when no id is in both."""
        few, many = (self, other) if len(self) <= len(other) else (other, self)
        return not any(few._common(many))

    def _common(self, other: IdSet) -> Iterator[Piece]:
        """What is in both, in order. No piece is empty."""
        for chunk in self._chunks:
            found = shared(other._chunks, chunk)
            if found is None:
                yield chunk
            elif held := [raw for raw in chunk.ids() if raw in found] if found else []:
                yield held

    def _without(self, other: IdSet) -> Iterator[Piece]:
        """What is in this set alone, in order. No piece is empty."""
        for chunk in self._chunks:
            found = shared(other._chunks, chunk)
            if found is None:
                continue
            if not found:
                yield chunk
            elif left := [raw for raw in chunk.ids() if raw not in found]:
                yield left

    def first(self, count: int) -> list[str]:
        """The first `count` ids in order, or all when there are fewer."""
        return list(islice(self, count))

    def starting_with(self, prefix: str) -> IdSet:
        """The ids that begin with `prefix`, byte for byte. Costs what it finds, not what is held."""
        low = prefix.encode()
        high = low + SEPARATOR  # sorts above all of UTF-8: the first id that no longer begins with the prefix
        inside = overlapping(self._chunks, low, high)
        return IdSet._written(
            chunk if low <= chunk.first and chunk.last < high else chunk.between(low, high) for chunk in inside
        )

    def ceiling(self, bound: str) -> str | None:
        """The first id in order that is not below `bound`; None when all are. One chunk is touched."""
        raw = bound.encode()
        number = bisect_left(self._chunks, raw, key=_last)
        if number == len(self._chunks):
            return None
        block = self._chunks[number].block()
        return _at(block, lower_bound(block, raw))

    def lower(self, bound: str) -> str | None:
        """The last id in order that is below `bound`; None when none is. One chunk is touched."""
        raw = bound.encode()
        number = bisect_left(self._chunks, raw, key=_first) - 1
        if number < 0:
            return None
        block = self._chunks[number].block()
        return _at(block, block.rfind(SEPARATOR, 0, lower_bound(block, raw) - 1) + 1)

    def spread(self, count: int) -> list[str]:
        """At most `count` ids in order, evenly spread, the first and the last among them (count 1: the first)."""
        if count <= 1 or not self:
            return self.first(count)
        ends, size = [], 0
        for chunk in self._chunks:
            size += chunk.size
            ends.append(size)
        found: dict[str, None] = {}
        for number in range(count):
            at = (size - 1) * number // (count - 1)
            which = bisect_right(ends, at)
            chunk = self._chunks[which]
            block, inside = chunk.block(), at - (ends[which] - chunk.size)
            found[_at(block, block.rfind(SEPARATOR, 0, inside + 1) + 1)] = None
        return list(found)

    def blocks(self) -> Iterator[bytes]:
        """Its ids as UTF-8 joined by 0xFF, some hundred kilobytes at a time, in order."""
        return (chunk.block() for chunk in self._chunks)

    def raw(self) -> Iterator[list[bytes]]:
        """Its ids as UTF-8, some thousand at a time, in order."""
        return (chunk.ids() for chunk in self._chunks)

    def chunks(self, size: int) -> Iterator[list[str]]:
        """Lists of at most `size` ids, in order; all but the last are full."""
        ids = iter(self)
        while chunk := list(islice(ids, size)):
            yield chunk

    def digest(self) -> str:
        """SHA-256 (hex) of the ids in order, joined by 0xFF: equal sets, equal digests."""
        if not self._digest:
            blocks = self.blocks()
            whole = hashlib.sha256(next(blocks, b""))
            for block in blocks:
                whole.update(SEPARATOR)
                whole.update(block)
            self._digest = whole.hexdigest()
        return self._digest


def _put_together(sets: Iterable[IdSet]) -> list[IdSet]:
    """As few sets of the same ids: what is small is sorted together, as much at once as memory bears."""
    small = ChunkBuilder()
    large: list[IdSet] = []
    for each in sets:
        if sum(map(_size, each._chunks)) > LARGE:
            large.append(each)
        else:
            for chunk in each._chunks:
                small.extend_block(chunk)
    return [IdSet.of_chunks(small.chunks()), *large]


def _at(block: bytes, start: int) -> str:
    return first_of(block, start).decode()


class IdSetBuilder(ChunkBuilder):
    """Builds an IdSet from a stream of blocks; order and repetition do not matter."""

    def extend(self, ids: Sequence[str]) -> None:
        """Add a block of ids. Thousands at a time cost little; one at a time costs a block each.

        Raises:
            UnicodeEncodeError: an id holds half of a surrogate pair.
        """
        self.extend_raw([id_.encode() for id_ in ids])

    def build(self) -> IdSet:
        """The set of everything added. The builder can go on afterwards."""
        return IdSet.of_chunks(self.chunks())

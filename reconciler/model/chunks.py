"""Ids in order, in pieces: what an IdSet is made of.

A chunk is some hundred kilobytes of ids: their UTF-8, sorted, unique, joined by 0xFF (a byte that UTF-8 never
contains): a block. Chunks are immutable and shared between sets; where their bytes are is said in `kept`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from operator import eq, lt
from typing import Final, TypeVar

from reconciler.model.kept import Kept

T = TypeVar("T", str, bytes)

SEPARATOR: Final = b"\xff"

#: A chunk holds about so many bytes: enough that what is done once a chunk costs nothing, little enough that two
#: of them taken apart stay in the processor's cache.
CHUNK_BYTES: Final = 131_072

#: Ids joined at once.
_IDS_AT_ONCE: Final = 2048


class Chunk(Kept):
    """Some ids in order; at least one.

    Attributes:
        count: how many.
        size: bytes of its block.
        first: the least id, as bytes.
        last: the greatest.
    """

    __slots__ = ("count", "first", "last")

    def __init__(self, block: bytes, count: int) -> None:
        super().__init__(block)
        self.count = count
        self.first = first_of(block)
        self.last = last_of(block)

    def block(self) -> bytes:
        """Its ids, joined.

        Raises:
            CacheDamaged: the file that has them does not give back what was written.
        """
        block = self.read()
        if not (block.startswith(self.first) and block.endswith(self.last)):
            raise self.damaged()
        return block

    def ids(self) -> list[bytes]:
        """Its ids, taken apart."""
        return self.block().split(SEPARATOR)

    def between(self, low: bytes, high: bytes) -> bytes:
        """The ids from `low` up to and with `high`, joined."""
        block = self.block()
        start = 0 if low <= self.first else lower_bound(block, low)
        end = len(block) if self.last <= high else after(block, high, start) - 1
        return block[start : max(start, end)]


def first_of(block: bytes, start: int = 0) -> bytes:
    """The id that begins at `start`."""
    end = block.find(SEPARATOR, start)
    return block[start : len(block) if end < 0 else end]


def last_of(block: bytes, end: int | None = None) -> bytes:
    """The id that ends before `end`, or with `block`."""
    return block[block.rfind(SEPARATOR, 0, end) + 1 : end]


def lower_bound(block: bytes, key: bytes, start: int = 0) -> int:
    """The offset, from `start` on, at which the first id >= `key` begins; beyond `block` when there is none."""
    low, high = start, len(block) + 1 if block else 0
    while low < high:
        middle = (low + high) // 2
        begin = block.rfind(SEPARATOR, low, middle) + 1 or low
        end = block.find(SEPARATOR, begin)
        end = len(block) if end < 0 else end
        if block[begin:end] < key:
            low = end + 1
        else:
            high = begin
    return low


def after(block: bytes, key: bytes, start: int = 0) -> int:
    """The offset, from `start` on, at which the first id > `key` begins; beyond `block` when there is none."""
    begin = lower_bound(block, key, start)
    end = begin + len(key)
    return end + 1 if holds_at(block, key, begin) else begin


def holds_at(block: bytes, key: bytes, start: int) -> bool:
    """True when the id that begins at `start` is `key`."""
    end = start + len(key)
    return block[start:end] == key and block[end : end + 1] in (b"", SEPARATOR) and bool(key)


def count_of(block: bytes) -> int:
    """How many ids are joined in `block`."""
    return block.count(SEPARATOR) + 1 if block else 0


#: Ids in order, joined: a chunk or a block.
Joined = Chunk | bytes

#: Ids in order, joined or one by one.
Piece = Joined | list[bytes]


def bounds(piece: Joined) -> tuple[bytes, bytes]:
    """The first and the last id of a piece; (b"", b"") when it is empty."""
    return (piece.first, piece.last) if isinstance(piece, Chunk) else (first_of(piece), last_of(piece))


def size_of(piece: Joined) -> int:
    """Bytes of a piece."""
    return piece.size if isinstance(piece, Chunk) else len(piece)


def joined(piece: Joined) -> bytes:
    """The ids of a piece as a block."""
    return piece.block() if isinstance(piece, Chunk) else piece


def split(piece: Piece) -> list[bytes]:
    """The ids of a piece, one by one."""
    if isinstance(piece, Chunk):
        return piece.ids()
    if isinstance(piece, bytes):
        return piece.split(SEPARATOR) if piece else []
    return piece


def unique(ids: list[bytes]) -> list[bytes]:
    """`ids` sorted in place, each once. What consists of sorted runs is merged, not sorted."""
    ids.sort()
    # Nearly always nothing is there twice, and looking at neighbours is much cheaper than a dictionary.
    return list(dict.fromkeys(ids)) if any(map(eq, ids, islice(ids, 1, None))) else ids


def ascending(ids: Sequence[T]) -> bool:
    """True when they are in order, each once."""
    return all(map(lt, ids, islice(ids, 1, None)))


def in_order(ids: Sequence[str]) -> Sequence[str]:
    """`ids` in order, each once: themselves, if they are."""
    return ids if ascending(ids) else list(dict.fromkeys(sorted(ids)))


def block_of(ids: Sequence[str]) -> bytes:
    """`ids`, which are in order, each once, as a block.

    Raises:
        UnicodeEncodeError: an id holds half of a surrogate pair.
    """
    if "".join(ids).isascii():
        return "\xff".join(ids).encode("latin-1")  # many times as fast as one by one
    return SEPARATOR.join([id_.encode() for id_ in ids])


class ChunkWriter:
    """Pieces become chunks. What is added stands above everything that was added before."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._count = 0

    def add(self, piece: Piece) -> int:
        """Add a piece: how many ids it has. A large chunk is shared, small ones are put together."""
        if isinstance(piece, Chunk):
            if piece.size * 2 < CHUNK_BYTES:
                return self._join(piece.block(), piece.count)
            self._flush()
            self._chunks.append(piece)
            return piece.count
        if isinstance(piece, bytes):
            return self._join(piece, count_of(piece))
        for start in range(0, len(piece), _IDS_AT_ONCE):
            some = piece[start : start + _IDS_AT_ONCE]
            self._join(SEPARATOR.join(some), len(some))
        return len(piece)

    def done(self) -> tuple[Chunk, ...]:
        """The chunks of everything."""
        self._flush()
        return tuple(self._chunks)

    def _join(self, block: bytes, count: int) -> int:
        if count:
            self._parts.append(block)
            self._size += len(block)
            self._count += count
            if self._size >= CHUNK_BYTES:
                self._flush()
        return count

    def _flush(self) -> None:
        if self._parts:
            self._chunks.append(Chunk(SEPARATOR.join(self._parts), self._count))
            self._parts, self._size, self._count = [], 0, 0

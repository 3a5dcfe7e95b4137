"""Ids in order, in pieces: what an IdSet is made of.

A chunk is some hundred kilobytes of ids: their UTF-8, sorted, unique, joined by 0xFF (a byte that UTF-8 never
contains). Chunks are immutable and shared between sets. When those of this process hold more than `SCRATCH_ABOVE`
bytes, the next ones go to a scratch file: a temporary file without a name, which ends with the process. So memory
is bounded, however many ids are worked on; the price is one read a chunk.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from operator import eq
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, Self

from reconciler.errors import CacheDamaged

SEPARATOR: Final = b"\xff"

#: A chunk holds about so many bytes: enough that what is done once a chunk costs nothing, little enough that two
#: of them taken apart stay in the processor's cache.
CHUNK_BYTES: Final = 131_072

#: Bytes of ids that a process holds in memory before the next ones go to the scratch file.
SCRATCH_ABOVE = 24 * 1_048_576

#: Ids joined at once.
_IDS_AT_ONCE: Final = 2048


class OpenFile(Protocol):
    """A file that is read in place. `name`: its path; for one without a name whatever else."""

    @property
    def name(self) -> Any:
        """See the class."""

    def fileno(self) -> int:
        """The descriptor."""


class _Scratch:
    """Where chunks are kept. Safe to use from any thread, and on both sides of a fork."""

    def __init__(self) -> None:
        self.held = 0
        self._file: BinaryIO | None = None
        self._end = 0
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def keep(self, block: bytes) -> tuple[BinaryIO, int] | None:
        """Write `block`: the file that has it, and where. None when there is no room: memory has to hold it."""
        try:
            with self._lock:
                if self._file is None:
                    import tempfile  # noqa: PLC0415 - imports much, and few commands need it

                    self._file = tempfile.TemporaryFile(buffering=0, prefix="reconciler-")  # noqa: SIM115 - for good
                    self._end = 0
                file, at = self._file, self._end
                self._end += len(block)
            written = 0
            while written < len(block):
                written += os.pwrite(file.fileno(), block[written:] if written else block, at + written)
        except OSError:
            return None
        return file, at

    def _forget(self) -> None:
        # Two processes that go on writing at the same places of one file would read each other's ids.
        self._lock = threading.Lock()
        self._file = None


_scratch = _Scratch()


class Kept:
    """Bytes that do not change: in memory, in the scratch file once much is in memory, or in a file of the cache.

    Attributes:
        size: how many.
    """

    __slots__ = ("_bytes", "_place", "_sha256", "size")

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._sha256 = b""
        self._place: tuple[OpenFile, int] | None = (
            _scratch.keep(data) if _scratch.held + self.size > SCRATCH_ABOVE else None
        )
        self._bytes = data if self._place is None else None
        if self._bytes is not None:
            _scratch.held += self.size  # threads may miss one another here: it is a bound for memory, not a count

    @classmethod
    def placed(cls, file: OpenFile, at: int, size: int, sha256: bytes) -> Self:
        """What is in a file already; `sha256` is checked whenever it is read."""
        made = cls.__new__(cls)
        made.lie(file, at, size, sha256)
        return made

    def lie(self, file: OpenFile, at: int, size: int, sha256: bytes) -> None:
        """Used by `placed`."""
        self.size, self._bytes, self._place, self._sha256 = size, None, (file, at), sha256

    def __del__(self) -> None:
        if getattr(self, "_bytes", None) is not None:
            _scratch.held -= self.size

    @property
    def in_memory(self) -> bool:
        """Reading it costs nothing."""
        return self._place is None

    def read(self) -> bytes:
        """All of it.

        Raises:
            CacheDamaged: the file does not give back what was written.
        """
        if self._place is None:
            return self._bytes or b""
        file, at = self._place
        data = os.pread(file.fileno(), self.size, at)
        if len(data) != self.size or (self._sha256 and sha256(data).digest() != self._sha256):
            raise self.damaged()
        self._sha256 = b""  # once is enough
        return data

    def damaged(self) -> CacheDamaged:
        """The error for a file that does not give back what was written."""
        # Never fewer ids without a word: those of a keep would be deleted.
        name = self._place[0].name if self._place else ""
        if not isinstance(name, str):
            return CacheDamaged("the scratch file of ids was cut short or overwritten")
        with suppress(OSError):
            Path(name).unlink()
        return CacheDamaged(
            f"the file {name} of the cache does not hold what was written to it",
            hint="it was removed; run the command again",
        )


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
        end = block.find(SEPARATOR)
        self.first = block if end < 0 else block[:end]
        self.last = block[block.rfind(SEPARATOR) + 1 :]

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


#: Ids in order: a chunk, a block of joined ids, or ids one by one.
Piece = Chunk | bytes | list[bytes]


def joined(piece: Chunk | bytes) -> bytes:
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


def block_of(ids: Sequence[str]) -> bytes:
    """`ids`, in any order, as a block.

    Raises:
        UnicodeEncodeError: an id holds half of a surrogate pair.
    """
    in_order = list(dict.fromkeys(sorted(ids)))
    block = "\0".join(in_order).encode()  # many times as fast as one by one
    if block.count(b"\0") == len(in_order) - 1:
        return block.replace(b"\0", SEPARATOR)
    return SEPARATOR.join([id_.encode() for id_ in in_order])


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


class Pages:
    """Blocks of ids one after another, in any order: what is only added to, and read at a place that is known.

    Args:
        settled: pages that are there already.

    Attributes:
        size: bytes of what is settled.
    """

    def __init__(self, settled: Iterable[Kept] = ()) -> None:
        self.size = 0
        self._starts: list[int] = []
        self._pages: list[Kept] = []
        self._page = bytearray()
        self._read: tuple[int, bytes] = (-1, b"")  # the page read last: what is next is most often in it
        for page in settled:
            self._settle(page)

    def add(self, block: bytes) -> int:
        """Add `block`: its place."""
        place = self.size + len(self._page)
        self._page += block
        return place

    def cut(self, place: int) -> None:
        """Take back what was added from `place` on, if it was not settled."""
        del self._page[place - self.size :]

    def settle(self, least: int = CHUNK_BYTES) -> None:
        """What was added stays, once there are `least` bytes."""
        if len(self._page) >= least:
            self._settle(Kept(bytes(self._page)))
            self._page = bytearray()

    def _settle(self, page: Kept) -> None:
        self._starts.append(self.size)
        self._pages.append(page)
        self.size += page.size

    def pages(self) -> tuple[Kept, ...]:
        """All of it, what was added last too."""
        self.settle(1)
        return tuple(self._pages)

    def read(self, place: int, size: int) -> bytes:
        """`size` bytes from `place` on, which were added at once.

        Raises:
            CacheDamaged: the file that has them does not give back what was written.
        """
        if place >= self.size:
            return bytes(self._page[place - self.size : place - self.size + size])
        number = bisect_right(self._starts, place) - 1
        if number != self._read[0]:
            self._read = number, self._pages[number].read()
        start = place - self._starts[number]
        return self._read[1][start : start + size]


class _Cursor:
    """How far a run of chunks is read."""

    def __init__(self, run: Sequence[Chunk]) -> None:
        self._run = run
        self._number = 0
        self._block: bytes | None = None
        self._at = 0

    @property
    def over(self) -> bool:
        return self._number == len(self._run)

    @property
    def last(self) -> bytes:
        """The last id of the chunk that is next."""
        return self._run[self._number].last

    def take(self, limit: bytes) -> Chunk | bytes:
        """What is left of the next chunk, up to and with `limit`."""
        chunk = self._run[self._number]
        if chunk.last <= limit:
            taken = chunk if self._block is None else self._block[self._at :]
            self._number, self._block, self._at = self._number + 1, None, 0
            return taken
        if self._block is None:
            if chunk.first > limit:
                return b""
            self._block = chunk.block()
        start, self._at = self._at, after(self._block, limit, self._at)
        return self._block[start : max(start, self._at - 1)]

    def rest(self) -> Iterator[Chunk | bytes]:
        """Everything that is left."""
        if self._block is not None:
            yield self._block[self._at :]
            self._number += 1
        yield from self._run[self._number :]


def beside(
    left: Sequence[Chunk], right: Sequence[Chunk]
) -> Iterator[tuple[Chunk | bytes | None, Chunk | bytes | None]]:
    """Two runs side by side, in pieces: what one has up to some id, and what the other has up to the same id.

    None stands for a run that has nothing there. Memory: about two chunks of each.
    """
    cursors = _Cursor(left), _Cursor(right)
    while not any(cursor.over for cursor in cursors):
        limit = min(cursor.last for cursor in cursors)
        one, other = (cursor.take(limit) or None for cursor in cursors)
        yield one, other
    for piece in cursors[0].rest():
        yield piece, None
    for piece in cursors[1].rest():
        yield None, piece


def merged(runs: Iterable[Sequence[Chunk]]) -> Iterator[Piece]:
    """What is in any of `runs`, in order, each id once. Memory: about two chunks of each run."""
    cursors = [_Cursor(run) for run in runs if run]
    while len(cursors) > 1:
        # Above the least of these, a run may hold something that is not seen yet.
        limit = min(cursor.last for cursor in cursors)
        taken = [piece for piece in (cursor.take(limit) for cursor in cursors) if piece]
        cursors = [cursor for cursor in cursors if not cursor.over]
        first = joined(taken[0]) if len(taken) > 1 else b""
        if all(joined(piece) == first for piece in taken[1:]):
            yield taken[0]
        else:
            yield unique([raw for piece in taken for raw in split(piece)])
    for cursor in cursors:
        yield from cursor.rest()

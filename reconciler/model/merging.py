"""Runs of chunks side by side: merged, compared, and looked up in each other.

A run is a sequence of chunks, each above the one before it. What one pass over several runs yields are pieces in
order; chunks that nothing overlaps with are passed on whole, and are not even read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from reconciler.model.chunks import (
    SEPARATOR,
    Chunk,
    Joined,
    Piece,
    after,
    holds_at,
    joined,
    lower_bound,
    split,
    unique,
)

#: One id looked up in a block costs as much as taking so many apart.
LOOK_UP = 150

#: From so many times the ids on, the other side is gone through chunk by chunk.
_MANY = 4

#: Two blocks are gone through difference by difference as long as there is at most one in so many bytes.
_SPARSE = 1024

#: Bytes of two blocks that are compared at first; stretches that are equal are searched in steps that double.
_LEAP = 256

#: Below so many bytes ids are compared one by one.
_STEP = 64

_first, _last = attrgetter("first"), attrgetter("last")


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

    def take(self, limit: bytes) -> Joined:
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

    def rest(self) -> Iterator[Joined]:
        """Everything that is left."""
        if self._block is not None:
            yield self._block[self._at :]
            self._number += 1
        yield from self._run[self._number :]


def beside(left: Sequence[Chunk], right: Sequence[Chunk]) -> Iterator[tuple[Joined | None, Joined | None]]:
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


def span(run: Sequence[Chunk], low: bytes, high: bytes) -> range:
    """The places in `run` of the chunks that may hold ids from `low` up to and with `high`."""
    return range(bisect_left(run, low, key=_last), bisect_right(run, high, key=_first))


def overlapping(run: Sequence[Chunk], low: bytes, high: bytes) -> Sequence[Chunk]:
    """The chunks at the places of `span`."""
    places = span(run, low, high)
    return run[places.start : places.stop]


def looked_up(run: Sequence[Chunk], ids: list[bytes]) -> Iterator[bytes]:
    """Those of `ids`, which are in order, that `run` holds."""
    start = 0
    while start < len(ids):
        number = bisect_left(run, ids[start], key=_last)
        if number == len(run):
            return
        chunk = run[number]
        end = bisect_right(ids, chunk.last, start)
        block = chunk.block()
        if (end - start) * LOOK_UP > chunk.count:
            held = set(block.split(SEPARATOR))
            yield from (raw for raw in ids[start:end] if raw in held)
        else:
            yield from (raw for raw in ids[start:end] if holds_at(block, raw, lower_bound(block, raw)))
        start = end


def shared(run: Sequence[Chunk], chunk: Chunk) -> set[bytes] | None:
    """The ids that `run` may share with `chunk`; None when it has all of them, and nothing between them."""
    chunks = overlapping(run, chunk.first, chunk.last)
    if len(chunks) == 1 and chunks[0] is chunk:
        return None
    if chunk.count * _MANY < sum(each.count for each in chunks):
        return set(looked_up(run, chunk.ids()))
    block = SEPARATOR.join(block for each in chunks if (block := each.between(chunk.first, chunk.last)))
    if len(block) == chunk.size and block == chunk.block():  # which may have to be read
        return None
    return set(block.split(SEPARATOR)) if block else set()


def told_apart(here: bytes, there: bytes) -> tuple[list[bytes], bytes, list[bytes]]:
    """Of two blocks: the ids in `here` alone, those in both as a block, and those in `there` alone.

    Where they differ little, most of them is passed over in stretches that are equal. Where they do not, what is
    left is taken apart.
    """
    one, other = here + SEPARATOR, there + SEPARATOR  # so that each id ends with one
    alone: list[bytes] = []
    common: list[bytes] = []
    added: list[bytes] = []
    begin = left = right = 0  # the stretch of `one` that is common, and how far both are read
    for _ in range(len(one) // _SPARSE):
        same = one.rfind(SEPARATOR, left, left + _equal(one, left, other, right)) + 1
        if same:
            left, right = same, right + same - left
        while left < len(one) and right < len(other):
            mine, yours = one[left : one.index(SEPARATOR, left)], other[right : other.index(SEPARATOR, right)]
            if mine != yours:
                break
            left, right = left + len(mine) + 1, right + len(yours) + 1
        else:
            break
        if mine < yours:
            alone.append(mine)
            common.append(one[begin:left])
            begin = left = left + len(mine) + 1
        else:
            added.append(yours)
            right += len(yours) + 1
    common.append(one[begin:left])
    ids, others = one[left:].split(SEPARATOR)[:-1], set(other[right:].split(SEPARATOR)[:-1])
    found = list(filter(others.__contains__, ids))
    if len(found) < len(ids):
        alone += [raw for raw in ids if raw not in others]
    if len(found) < len(others):
        added += sorted(others.difference(found))
    common.append(SEPARATOR.join([*found, b""]))
    return alone, b"".join(common)[:-1], added


def _equal(one: bytes, left: int, other: bytes, right: int) -> int:
    """How many bytes are the same from these places on; a few less, or what is left of both and more."""
    begin, size = left, _LEAP
    while one[left : left + size] == other[right : right + size] and left < len(one):
        left, right, size = left + size, right + size, size * 2
    while size > _STEP:
        size //= 2
        if one[left : left + size] == other[right : right + size]:
            left, right = left + size, right + size
    return left - begin

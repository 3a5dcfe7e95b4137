"""Chunks from a stream of ids in any order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from reconciler.model.chunks import SEPARATOR, Chunk, ChunkWriter, Joined, ascending, bounds, split, unique
from reconciler.model.kept import Kept
from reconciler.model.merging import merged

#: Ids that are sorted at once: as many as stay in the processor's cache.
_RUN_IDS: Final = 32_768

#: Ranges that runs are cut into, so that each can be sorted by itself.
_RANGES: Final = 256

#: Bytes of a range that are gathered before they are kept, in memory or in the scratch file.
_PAGE_BYTES: Final = 32_768

#: Of so many ids one is looked at to find the bounds of finer ranges.
_SAMPLED: Final = 256

#: Bytes from which on a set is better merged than sorted with others, and a range is cut into finer ones.
LARGE: Final = 4 * 1_048_576


class ChunkBuilder:
    """Makes chunks of blocks of ids; order and repetition do not matter.

    What arrives in order is not sorted. The rest is sorted a short run at a time; all runs are cut at the same
    bounds, and what lies between two bounds is sorted in the end. So nothing that is sorted is larger than the
    processor's cache, which is much faster than sorting megabytes, and memory holds little of it.

    Attributes:
        added: how many ids were added, repeated ones included.
    """

    def __init__(self) -> None:
        self._made: tuple[Chunk, ...] = ()
        self._ordered = ChunkWriter()
        self._greatest = b""
        self._run: list[bytes] = []
        self._ranges: _Ranges | None = None
        self.added = 0

    def extend_raw(self, ids: list[bytes]) -> None:
        """Add a block of ids that are UTF-8 already. The list is the builder's from now on."""
        if not ids:
            return
        self.added += len(ids)
        if not self._run and ids[0] > self._greatest and ascending(ids):
            self._ordered.add(ids)
            self._greatest = ids[-1]
        else:
            self._gather(ids)

    def extend_block(self, block: Joined) -> None:
        """Add a chunk, or ids that are UTF-8, in order, each once, and joined by 0xFF already."""
        first, last = bounds(block)
        if not self._run and first > self._greatest:
            self.added += self._ordered.add(block)
            self._greatest = last
        elif first:
            ids = split(block)
            self.added += len(ids)
            self._gather(ids)

    def chunks(self) -> tuple[Chunk, ...]:
        """The chunks of everything added. The builder can go on afterwards."""
        runs = [each for each in (self._made, self._ordered.done(), self._disordered()) if each]
        self._made = runs[0] if len(runs) == 1 else _in_order(runs)
        self._ordered, self._greatest = ChunkWriter(), b""
        return self._made

    def _disordered(self) -> tuple[Chunk, ...]:
        """The chunks of what was not in order. Nothing of it is left here."""
        if not self._run and self._ranges is None:
            return ()
        run, ranges = unique(self._run), self._ranges
        self._run, self._ranges = [], None
        made = ChunkWriter()
        if ranges is None:
            made.add(run)
        else:
            ranges.add(run)
            for ids in ranges.take():
                made.add(ids)
        return made.done()

    def _gather(self, ids: list[bytes]) -> None:
        """Keep what is not in order, and sort it once it is a run."""
        self._run += ids
        if len(self._run) >= _RUN_IDS:
            run = unique(self._run)
            self._run = []
            if self._ranges is None:
                self._ranges = _Ranges(run)
            self._ranges.add(run)


class _Ranges:
    """Ids by the range that they lie in.

    Args:
        sample: ids in order, each once; the bounds are chosen so that it spreads evenly.
        finest: a range is not cut into finer ones, however large it becomes.
    """

    def __init__(self, sample: Sequence[bytes], *, finest: bool = False) -> None:
        step = max(1, len(sample) // _RANGES)
        self._bounds = sample[step::step]
        self._ranges = [_Range() for _ in range(len(self._bounds) + 1)]
        self._finest = finest

    def add(self, run: list[bytes]) -> None:
        """Add ids that are in order."""
        start = 0
        for range_, bound in zip(self._ranges, self._bounds, strict=False):
            end = bisect_left(run, bound, start)
            range_.add(run[start:end])
            start = end
        self._ranges[-1].add(run[start:])

    def take(self) -> Iterator[list[bytes]]:
        """Everything added, in order, each id once. Nothing is left here."""
        self._ranges.reverse()
        while self._ranges:
            range_ = self._ranges.pop()
            if range_.size <= LARGE or self._finest:
                yield unique(list(chain.from_iterable(range_.take())))
            else:
                yield from range_.cut().take()


class _Range:
    """The ids between two bounds.

    Attributes:
        size: bytes of them.
    """

    def __init__(self) -> None:
        self.size = 0
        self._pages: list[Kept] = []
        self._page: list[bytes] = []
        self._settled = 0

    def add(self, ids: list[bytes]) -> None:
        """Add ids that are in order."""
        if ids:
            block = SEPARATOR.join(ids)
            self._page.append(block)
            self.size += len(block)
            if self.size - self._settled >= _PAGE_BYTES:
                self._settle()

    def _settle(self) -> None:
        if self._page:
            self._pages.append(Kept(SEPARATOR.join(self._page)))
            self._page, self._settled = [], self.size

    def take(self) -> Iterator[list[bytes]]:
        """The ids, a page at a time. Nothing is left here."""
        self._settle()
        while self._pages:
            yield self._pages.pop().read().split(SEPARATOR)

    def cut(self) -> _Ranges:
        """The ids in finer ranges. Nothing is left here."""
        self._settle()
        sample = [raw for page in self._pages for raw in page.read().split(SEPARATOR)[::_SAMPLED]]
        finer = _Ranges(unique(sample), finest=True)
        for ids in self.take():
            finer.add(unique(ids))
        return finer


def _in_order(runs: list[tuple[Chunk, ...]]) -> tuple[Chunk, ...]:
    made = ChunkWriter()
    for piece in merged(runs):
        made.add(piece)
    return made.done()

"""Blocks of ids one after another, as a log names them: only added to, and read at a place that is known.

A page is some hundred kilobytes of blocks, joined as the ids of a block are. Batches are cut from sorted ids, so
most pages are in order: such a page is a chunk as it stands, and sets are made of it without copying an id.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain

from reconciler.model.chunks import CHUNK_BYTES, SEPARATOR, Chunk, Joined, first_of, last_of
from reconciler.model.kept import Kept

#: Bytes from which on a page is settled: those of a chunk, which it may become.
PAGE_BYTES = CHUNK_BYTES


class Pages:
    """Blocks of ids in any order.

    Args:
        settled: pages that are there already; those that are in order are chunks.

    Attributes:
        size: the place at which what is not settled begins.
    """

    def __init__(self, settled: Iterable[Kept] = ()) -> None:
        self.size = 0
        self._starts: list[int] = []
        self._pages: list[Kept] = []
        self._page = bytearray()  # it is filled again and again: growing costs more than filling
        self._filled = 0
        self._blocks: list[tuple[int, int]] = []  # of the page that is being filled: where each begins, its ids
        self._read: tuple[int, bytes] = (-1, b"")  # the page read last: what is next is most often in it
        for page in settled:
            self._settle(page)

    def add(self, blocks: Iterable[tuple[bytes, int]]) -> int:
        """Add blocks, at least one, each with its count of ids, at least one.

        Returns:
            the place of the first. The next ones begin a byte behind.
        """
        page, end, added = self._page, self._filled, list[tuple[int, int]]()
        for block, count in blocks:
            start = end + 1 if end else 0
            if start:
                page[end:start] = SEPARATOR
            end = start + len(block)
            page[start:end] = block
            added.append((start, count))
        self._filled = end
        self._blocks += added
        return self.size + added[0][0]

    def cut(self, place: int) -> None:
        """Take back what was added from `place` on, if it was not settled."""
        start = place - self.size
        if start >= 0:
            while self._blocks and self._blocks[-1][0] >= start:
                self._blocks.pop()
            self._filled = max(0, start - 1)

    def settle(self, *, all_of_it: bool = False) -> None:
        """What was added stays, once it fills a page, or whatever there is. It may fill several."""
        if self._filled < (1 if all_of_it else PAGE_BYTES):
            return
        added, begin, count, starts = memoryview(self._page)[: self._filled], 0, 0, list[int]()
        ends = chain((start - 1 for start, _ in self._blocks[1:]), [self._filled])
        for (start, ids), end in zip(self._blocks, ends, strict=True):
            starts.append(start - begin)
            count += ids
            if end - begin >= PAGE_BYTES or end == self._filled:
                page = bytes(added[begin:end])
                self._settle(Chunk(page, count) if _in_order(page, starts) else Kept(page))
                begin, count, starts = end + 1, 0, []
        self._filled, self._blocks = 0, []

    def _settle(self, page: Kept) -> None:
        self._starts.append(self.size)
        self._pages.append(page)
        self.size += page.size + 1  # what joins it to the next, had that been added at once

    def pages(self) -> tuple[Kept, ...]:
        """All of it, what was added last too. Pages that are in order are chunks."""
        self.settle(all_of_it=True)
        return tuple(self._pages)

    def reach(self, place: int) -> int:
        """Up to where the blocks from `place` on stand in order, and can be read as one; `place` when none do."""
        if place < self.size:
            number = self._number(place)
            page = self._pages[number]
            if isinstance(page, Chunk):
                return self._starts[number] + page.size
        return place

    def piece(self, start: int, end: int) -> Joined:
        """What stands from `start` to `end`, which are the bounds of a block, or of several within `reach`.

        Raises:
            CacheDamaged: as `read`.
        """
        if start < self.size:
            number = self._number(start)
            page = self._pages[number]
            if isinstance(page, Chunk) and start == self._starts[number] and end - start == page.size:
                return page
        return self.read(start, end - start)

    def read(self, place: int, size: int) -> bytes:
        """`size` bytes from `place` on, all on one page.

        Raises:
            CacheDamaged: the file that has them does not give back what was written.
        """
        if place >= self.size:
            return bytes(self._page[place - self.size : place - self.size + size])
        number = self._number(place)
        found = self._read  # another thread may put another page there
        if number != found[0]:
            found = self._read = number, self._pages[number].read()
        start = place - self._starts[number]
        return found[1][start : start + size]

    def _number(self, place: int) -> int:
        """Which page has `place`."""
        return bisect_right(self._starts, place) - 1


def _in_order(page: bytes, starts: Sequence[int]) -> bool:
    """Does each of the blocks, which begin at `starts` and are in order themselves, stand above the one before?"""
    return all(last_of(page, start - 1) < first_of(page, start) for start in starts[1:])

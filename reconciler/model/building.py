"""Chunks from a stream of ids in any order."""

from __future__ import annotations

from itertools import pairwise

from reconciler.model.chunks import SEPARATOR, Chunk, ChunkWriter, count_of, unique
from reconciler.model.merging import merged

#: Bytes of ids that are sorted at once.
_RUN_BYTES = 16 * 1_048_576

#: Bytes from which on a set is better merged than sorted with others.
LARGE = 4 * 1_048_576


class ChunkBuilder:
    """Makes chunks of blocks of ids; order and repetition do not matter.

    What arrives in order is not sorted; the rest is, some megabytes at a time, and then merged.

    Attributes:
        added: how many ids were added, repeated ones included.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Chunk, ...]] = []
        self._ordered = ChunkWriter()
        self._greatest = b""
        self._blocks: list[bytes] = []
        self._size = 0
        self.added = 0

    def extend_raw(self, ids: list[bytes]) -> None:
        """Add a block of ids that are UTF-8 already. The list is the builder's from now on."""
        if not ids:
            return
        self.added += len(ids)
        if not self._size and ids[0] > self._greatest and _ascending(ids):
            self._ordered.add(ids)
            self._greatest = ids[-1]
            return
        self._gather(SEPARATOR.join(ids))

    def _gather(self, block: bytes) -> None:
        """Keep what is not in order, and sort it once there is much."""
        self._blocks.append(block)
        self._size += len(block)
        if self._size >= _RUN_BYTES:
            self._sort()

    def extend_block(self, block: bytes) -> None:
        """Add ids that are UTF-8, in order, each once, and joined by 0xFF already."""
        end = block.find(SEPARATOR)
        if not self._size and (block if end < 0 else block[:end]) > self._greatest:
            self.added += self._ordered.add(block)
            self._greatest = block[block.rfind(SEPARATOR) + 1 :]
        else:
            self.added += count_of(block)
            self._gather(block)

    def chunks(self) -> tuple[Chunk, ...]:
        """The chunks of everything added. The builder can go on afterwards."""
        self._sort()
        made = ChunkWriter()
        for piece in merged([*self._runs, self._ordered.done()]):
            made.add(piece)
        chunks = made.done()
        self._runs, self._ordered, self._greatest = [chunks], ChunkWriter(), b""
        return chunks

    def _sort(self) -> None:
        if self._size:
            ids = SEPARATOR.join(self._blocks).split(SEPARATOR)
            self._blocks, self._size = [], 0
            writer = ChunkWriter()
            writer.add(unique(ids))
            self._runs.append(writer.done())


def _ascending(ids: list[bytes]) -> bool:
    """True when they are in order, each once."""
    return all(one < other for one, other in pairwise(ids))

"""One file of the cache: blocks of ids and of bytes, an index of them, and a last line that proves the index.

    block … block, index (JSON), footer: offset of the index in 16 hex digits, its SHA-256 in 64, MAGIC

Each block has its SHA-256 in the index and is checked when it is read, so a file that was cut short, or written by
a machine that lost power, is noticed before anything of it is used. Sets that share chunks share them in the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

from reconciler.model.chunks import Chunk
from reconciler.model.idset import IdSet
from reconciler.model.kept import Kept

MAGIC: Final = b"reconciler cache 1\n"
_FOOTER: Final = 16 + 64 + len(MAGIC)

#: An index is some hundred bytes a block: a larger one is no index.
_LARGEST_INDEX: Final = 512 * 1_048_576


class Writer:
    """Writes one file, block after block.

    Args:
        file: empty, open for writing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = 0
        self._chunks: dict[int, int] = {}
        self._held: list[Chunk] = []  # so that no other takes the place of one in memory, by which it is known
        self._index: dict[str, list[Any]] = {"chunks": [], "sets": [], "blocks": []}

    def set(self, ids: IdSet) -> int:
        """Add a set: its number."""
        places = [self.chunk(chunk) for chunk in ids.pieces]
        return self._add("sets", [ids.digest(), _runs(places)])

    def chunk(self, chunk: Chunk) -> int:
        """Add a chunk, unless it is there: its number."""
        number = self._chunks.get(id(chunk))
        if number is None:
            placed = self._write(chunk.block())
            number = self._add("chunks", [*placed, chunk.count, chunk.first.decode(), chunk.last.decode()])
            self._chunks[id(chunk)] = number
            self._held.append(chunk)
        return number

    def block(self, data: bytes) -> int:
        """Add bytes: their number."""
        return self._add("blocks", self._write(data))

    def finish(self, key: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        """Write the index. `key` is what the file is found by; `document` whatever else there is to say."""
        index = json.dumps({"key": key, "document": document, **self._index}).encode()
        self._file.write(index)
        self._file.write(f"{self._end:016x}{sha256(index).hexdigest()}".encode() + MAGIC)

    def _write(self, data: bytes) -> list[Any]:
        start = self._end
        self._file.write(data)
        self._end += len(data)
        return [start, len(data), sha256(data).hexdigest()]

    def _add(self, what: str, value: Any) -> int:
        self._index[what].append(value)
        return len(self._index[what]) - 1


class _File:
    """A file that is open for reading as long as something of it is held.

    Attributes:
        name: its path.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError: it cannot be opened."""
        self.name = str(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor


class Contents:
    """What a file of the cache holds. Blocks are read, and checked, when they are asked for.

    Attributes:
        key: what it was found by.
        document: whatever else there is to say.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, and read its index.

        Raises:
            ValueError: this is no whole file of the cache.
            OSError: it cannot be read.
        """
        file = _File(path)
        size = os.fstat(file.fileno()).st_size
        footer = os.pread(file.fileno(), _FOOTER, max(0, size - _FOOTER))
        if len(footer) != _FOOTER or not footer.endswith(MAGIC):
            raise ValueError("not a file of the cache")
        start = int(footer[:16], 16)
        length = size - _FOOTER - start
        index = os.pread(file.fileno(), length, start) if 0 < length < _LARGEST_INDEX else b""
        if sha256(index).hexdigest().encode() != footer[16:80]:
            raise ValueError("its index does not match its digest")
        found = json.loads(index)
        self._file = file
        self.key: dict[str, Any] = found["key"]
        self.document: dict[str, Any] = found["document"]
        self._chunks: list[list[Any]] = found["chunks"]
        self._made: dict[int, Chunk] = {}
        self._sets: list[Any] = found["sets"]
        self._blocks: list[list[Any]] = found["blocks"]

    def set(self, number: int) -> IdSet:
        """The set of this number."""
        digest, runs = self._sets[number]
        places = (place for first, last in runs for place in range(first, last + 1))
        return IdSet.of_chunks(tuple(map(self.chunk, places)), digest)

    def chunk(self, number: int) -> Chunk:
        """The chunk of this number."""
        made = self._made.get(number)
        if made is None:
            start, size, digest, count, first, last = self._chunks[number]
            made = Chunk.placed(self._file, start, size, bytes.fromhex(digest))
            made.count, made.first, made.last = count, first.encode(), last.encode()
            self._made[number] = made
        return made

    def block(self, number: int) -> Kept:
        """The bytes of this number."""
        start, size, digest = self._blocks[number]
        return Kept.placed(self._file, start, size, bytes.fromhex(digest))


def _runs(places: Sequence[int]) -> list[list[int]]:
    """Places as inclusive ranges, in their order."""
    found: list[list[int]] = []
    for place in places:
        if found and place == found[-1][1] + 1:
            found[-1][1] = place
        else:
            found.append([place, place])
    return found

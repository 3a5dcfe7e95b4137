"""What each id bears: numbers that are put on blocks of ids, told id by id in one pass, for millions of ids.

An id with a number behind it sorts like an id. So the numbers of an id come to stand side by side by sorting
alone, in chunks and, once there are many, in the scratch file. Nothing is kept per id, and it takes about linear
time however many blocks there are, and however few ids are in each.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from reconciler.model.building import ChunkBuilder
from reconciler.model.chunks import SEPARATOR, Chunk, split
from reconciler.model.merging import merged

#: Stands before a number. Like the separator it is no byte of UTF-8: no id is another one with a number behind it.
_MARK: Final = b"\xfe"

#: Of a number, in hexadecimal.
_DIGITS: Final = 8


def borne(*streams: Iterable[tuple[int, bytes]]) -> Iterator[tuple[tuple[int, ...], list[bytes]]]:
    """The ids of all blocks by the numbers that they bear.

    Args:
        streams: (number, ids in order joined by 0xFF), taken one after another; a number is below 2**32. What a
            stream brings in order is not sorted.

    Returns:
        groups (numbers, ascending; ids that bear just these), of some thousand ids at a time: the same numbers may
        come several times. Each id comes once.
    """
    entries: list[bytes] = []
    for piece in merged([_marked(stream) for stream in streams]):
        entries += split(piece)
        end = bisect_left(entries, entries[-1][:-_DIGITS])  # the next piece may have more of the last id
        yield from _groups(entries[:end])
        del entries[:end]
    yield from _groups(entries)


def _marked(stream: Iterable[tuple[int, bytes]]) -> tuple[Chunk, ...]:
    """Each id with its number behind it, in order."""
    builder = ChunkBuilder()
    for number, block in stream:
        mark = b"%b%0*x" % (_MARK, _DIGITS, number)
        # Ids in order may be out of order with the mark behind them: where one begins with another.
        builder.extend_raw((block.replace(SEPARATOR, mark + SEPARATOR) + mark).split(SEPARATOR))
    return builder.chunks()


def _groups(entries: list[bytes]) -> Iterator[tuple[tuple[int, ...], list[bytes]]]:
    marks: dict[bytes, list[bytes]] = {}
    for entry in entries:
        marks.setdefault(entry[:-_DIGITS], []).append(entry[-_DIGITS:])
    groups: dict[bytes, list[bytes]] = {}
    for marked, digits in marks.items():
        groups.setdefault(b"".join(digits), []).append(marked[: -len(_MARK)])
    for key, ids in groups.items():
        yield _numbers(key), ids


@lru_cache(4096)
def _numbers(digits: bytes) -> tuple[int, ...]:
    return tuple(int(digits[at : at + _DIGITS], 16) for at in range(0, len(digits), _DIGITS))

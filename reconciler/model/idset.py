"""A set of vector ids, for one id or twenty million: the only place that knows how ids are held.

Ids are held as one block of bytes: their UTF-8, sorted, unique, joined by 0xFF (a byte that UTF-8
never contains). A million ids of 36 characters cost 37 MB and no object per id. The order of the
bytes is the order of the code points, so it is also Python's order of `str`.

Operations split the block for as long as they run. Whoever changes the representation (sorted runs on
disk, merges) changes this module and no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

_SEPARATOR = b"\xff"


class IdSet:
    """An immutable sorted set of ids.

    Build it with `IdSet.of(ids)`, or with `IdSetBuilder` when the ids arrive as a stream.
    Iterating yields `str` in order. `|`, `&`, `-`, `<=`, `in`, `len`, `==` and `hash` mean what they mean on sets.
    """

    __slots__ = ("_block", "_count")

    def __init__(self) -> None:
        """The empty set."""
        self._block = b""
        self._count = 0

    @classmethod
    def of(cls, ids: Iterable[str]) -> IdSet:
        """The set of `ids`, in any order, repeated or not. An id is never empty.

        Raises:
            UnicodeEncodeError: an id holds half of a surrogate pair.
        """
        return cls._from_sorted(sorted({i.encode() for i in ids}))

    @classmethod
    def union(cls, sets: Iterable[IdSet]) -> IdSet:
        """Everything that is in any of `sets`."""
        present = [s for s in sets if s]
        if len(present) <= 1:
            return present[0] if present else cls()
        merged: list[bytes] = []
        for each in present:
            merged += each._split()
        merged.sort()  # runs that are sorted already: a merge, not a sort
        return cls._from_sorted(list(dict.fromkeys(merged)))

    @classmethod
    def _from_sorted(cls, ids: Sequence[bytes]) -> IdSet:
        made = cls()
        made._block = _SEPARATOR.join(ids)
        made._count = len(ids)
        return made

    @classmethod
    def _of_block(cls, block: bytes) -> IdSet:
        made = cls()
        made._block = block
        made._count = block.count(_SEPARATOR) + 1 if block else 0
        return made

    def _split(self) -> list[bytes]:
        return self._block.split(_SEPARATOR) if self._count else []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        start, block = 0, self._block
        while start < len(block):
            # 64 KiB at a time: one list of a million strings would be the object per id that this type avoids.
            end = block.find(_SEPARATOR, start + 65_536)
            end = len(block) if end < 0 else end
            for raw in block[start:end].split(_SEPARATOR):
                yield raw.decode()
            start = end + 1

    def __eq__(self, other: object) -> bool:
        return self._block == other._block if isinstance(other, IdSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._block)

    def __repr__(self) -> str:
        return f"<IdSet of {self._count}>"

    def __contains__(self, id_: str) -> bool:
        raw = id_.encode("utf-8", "surrogatepass")
        start = self._lower_bound(raw)
        end = start + len(raw)
        return self._block[start:end] == raw and self._block[end : end + 1] in (b"", _SEPARATOR) and bool(raw)

    def _lower_bound(self, key: bytes) -> int:
        """The offset at which the first id >= `key` starts; beyond the block when there is none."""
        block, low, high = self._block, 0, len(self._block) + 1 if self._count else 0
        while low < high:
            middle = (low + high) // 2
            start = block.rfind(_SEPARATOR, low, middle) + 1 or low
            end = block.find(_SEPARATOR, start)
            end = len(block) if end < 0 else end
            if block[start:end] < key:
                low = end + 1
            else:
                high = start
        return low

    def __or__(self, other: IdSet) -> IdSet:
        return IdSet.union((self, other))

    def __and__(self, other: IdSet) -> IdSet:
        if not self or not other:
            return IdSet()
        if self._block == other._block:
            return self
        small, large = (self, other) if len(self) <= len(other) else (other, self)
        if len(small) * 64 < len(large):  # a few looked up in many: do not take the many apart
            return IdSet._from_sorted([raw for raw in small._split() if large._holds(raw)])
        lookup = set(small._split())
        return IdSet._from_sorted([raw for raw in large._split() if raw in lookup])

    def __sub__(self, other: IdSet) -> IdSet:
        if not self or not other:
            return self
        if self._block == other._block:
            return IdSet()
        if len(self) * 64 < len(other):
            return IdSet._from_sorted([raw for raw in self._split() if not other._holds(raw)])
        lookup = set(other._split())
        kept = [raw for raw in self._split() if raw not in lookup]
        return self if len(kept) == len(self) else IdSet._from_sorted(kept)

    def __le__(self, other: IdSet) -> bool:
        return not self - other

    def _holds(self, raw: bytes) -> bool:
        start = self._lower_bound(raw)
        end = start + len(raw)
        return self._block[start:end] == raw and self._block[end : end + 1] in (b"", _SEPARATOR)

    def isdisjoint(self, other: IdSet) -> bool:
        """True when no id is in both."""
        return not self & other

    def first(self, count: int) -> list[str]:
        """The first `count` ids in order, or all when there are fewer."""
        return list(islice(self, count))

    def starting_with(self, prefix: str) -> IdSet:
        """The ids that begin with `prefix`, byte for byte. Costs what it finds, not what is held."""
        raw = prefix.encode()
        if not raw:
            return self
        start = self._lower_bound(raw)
        # 0xFF sorts above every byte of UTF-8: the first id that no longer begins with the prefix.
        end = self._lower_bound(raw + _SEPARATOR)
        return IdSet._of_block(self._block[start : max(start, end - 1)])

    def ceiling(self, bound: str) -> str | None:
        """The first id in order that is not below `bound`; None when all are. No other id is touched."""
        start = self._lower_bound(bound.encode())
        return self._at(start) if start < len(self._block) else None

    def lower(self, bound: str) -> str | None:
        """The last id in order that is below `bound`; None when none is. No other id is touched."""
        end = self._lower_bound(bound.encode()) - 1
        return self._at(self._block.rfind(_SEPARATOR, 0, end) + 1) if end > 0 else None

    def spread(self, count: int) -> list[str]:
        """At most `count` ids in order, evenly spread, the first and the last among them (count 1: the first)."""
        if count <= 1:
            return self.first(count)
        size = len(self._block)
        starts = {self._block.rfind(_SEPARATOR, 0, size * n // (count - 1)) + 1 for n in range(count)}
        return [self._at(start) for start in sorted(starts)] if size else []

    def _at(self, start: int) -> str:
        end = self._block.find(_SEPARATOR, start)
        return self._block[start : len(self._block) if end < 0 else end].decode()

    def chunks(self, size: int) -> Iterator[list[str]]:
        """Lists of at most `size` ids, in order; all but the last are full."""
        ids = iter(self)
        while chunk := list(islice(ids, size)):
            yield chunk

    def digest(self) -> str:
        """SHA-256 (hex) of the ids in order, joined by 0xFF: equal sets, equal digests."""
        return hashlib.sha256(self._block).hexdigest()

    def partition(self, parts: Sequence[IdSet]) -> list[tuple[tuple[int, ...], IdSet]]:
        """Group the ids of this set by which of `parts` hold them.

        Returns:
            pairs (numbers of the parts, the ids that are in exactly those), ordered by the numbers. Ids
            that are in none come first, under `()`. Groups are never empty; together they are this set.
        """
        if len(parts) == 1:
            inside = self & parts[0]
            outside = self if not inside else self - inside
            return [group for group in (((), outside), ((0,), inside)) if group[1]]
        membership = dict.fromkeys(self._split(), 0)
        signatures: list[tuple[int, ...]] = [()]
        codes: dict[tuple[int, ...], int] = {(): 0}
        for number, part in enumerate(parts):
            extended: dict[int, int] = {}
            for raw in part._split():
                code = membership.get(raw)
                if code is None:
                    continue
                new = extended.get(code)
                if new is None:
                    signature = (*signatures[code], number)
                    new = codes.setdefault(signature, len(signatures))
                    if new == len(signatures):
                        signatures.append(signature)
                    extended[code] = new
                membership[raw] = new
        groups: dict[int, list[bytes]] = {}
        for raw, code in membership.items():
            groups.setdefault(code, []).append(raw)
        return sorted(
            ((signatures[code], IdSet._from_sorted(ids)) for code, ids in groups.items()),
            key=lambda group: group[0],
        )


class IdSetBuilder:
    """Builds an IdSet from a stream of blocks; order and repetition do not matter.

    Attributes:
        added: how many ids were added, repeated ones included.
    """

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self.added = 0

    def extend(self, ids: Sequence[str]) -> None:
        """Add a block of ids. Thousands at a time cost little; one at a time costs a block each.

        Raises:
            UnicodeEncodeError: an id holds half of a surrogate pair.
        """
        if ids:
            self._blocks.append(_SEPARATOR.join([i.encode() for i in ids]))
            self.added += len(ids)

    def build(self) -> IdSet:
        """The set of everything added. The builder can go on afterwards."""
        if not self._blocks:
            return IdSet()
        whole = _SEPARATOR.join(self._blocks)
        self._blocks = [whole]
        ids = whole.split(_SEPARATOR)
        ids.sort()
        return IdSet._from_sorted(list(dict.fromkeys(ids)))

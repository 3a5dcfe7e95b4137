"""Many ids in few groups: what begins alike is counted together, and no id is lost.

A group is a prefix, an exact count and a few of its ids:

    doc-000017#   12    doc-000017#chunk-00, doc-000017#chunk-01, …, doc-000017#chunk-11
    user-829/      4    user-829/a, user-829/b, …, user-829/d
    (others)       2    about, zebra

Prefixes end at separators such as / # : - _ . because that is where people who make ids put their meaning; the
digits of a number or of a UUID are not split. Where groups nest, an id is under the one with the longest prefix
that it begins with, so counts add up to the whole. The largest group is split first, and only where its parts say
more than it does: when few parts hold at least half of it.

Pure. Costs a few copies of the ids as bytes and touches only those that are shown: hundredths of a second for a
million.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import compress, islice
from operator import eq

from reconciler.model.idset import IdSet

SEPARATORS = "/#:-_.|@=~,;+ "

#: As many ids are taken apart once.
_FEW = 4096

_TO_SEPARATOR = re.compile(f"[^{re.escape(SEPARATORS)}]*[{re.escape(SEPARATORS)}]")
_TO_LAST_SEPARATOR = re.compile(f".*[{re.escape(SEPARATORS)}]", re.DOTALL)
_TO_SEPARATOR_RAW = re.compile(_TO_SEPARATOR.pattern.encode())  # in UTF-8 no other character has such a byte


@dataclass(frozen=True, slots=True)
class Group:
    """Ids that begin alike.

    Attributes:
        prefix: what all of them begin with, "" when that is nothing.
        count: how many they are, exactly.
        examples: the first of them, in order.
        last: the last of them.
        others: True when further ids begin with `prefix` and are under a group with a longer one.
    """

    prefix: str
    count: int
    examples: tuple[str, ...]
    last: str
    others: bool = False


class _Few:
    """A few ids as a list: they are asked a hundred times over, for which a set takes them apart each time.

    Args:
        ids: as UTF-8, in order, each once.
        begin, end: those of `ids` that are meant, at least one.
    """

    def __init__(self, ids: Sequence[bytes], begin: int, end: int) -> None:
        self._ids = ids
        self._begin = begin
        self._end = end

    @classmethod
    def of(cls, ids: IdSet) -> _Few:
        (piece,) = ids.pieces
        return cls(piece.ids(), 0, piece.count)

    def __len__(self) -> int:
        return self._end - self._begin

    def starting_with(self, prefix: str) -> _Few:
        """As `IdSet.starting_with`, for prefixes that end at a separator."""
        begin = bisect_left(self._ids, prefix.encode(), self._begin, self._end)
        end = bisect_left(self._ids, _beyond(prefix).encode(), begin, self._end)
        return _Few(self._ids, begin, end)

    def ceiling(self, bound: str) -> str | None:
        """As `IdSet.ceiling`."""
        at = bisect_left(self._ids, bound.encode(), self._begin, self._end)
        return self._ids[at].decode() if at < self._end else None

    def lower(self, bound: str) -> str | None:
        """As `IdSet.lower`."""
        at = bisect_left(self._ids, bound.encode(), self._begin, self._end)
        return self._ids[at - 1].decode() if at > self._begin else None

    def first(self, count: int) -> list[str]:
        """As `IdSet.first`."""
        return [raw.decode() for raw in self._ids[self._begin : min(self._end, self._begin + count)]]

    def ends(self) -> tuple[str, str]:
        """The first and the last."""
        return self._ids[self._begin].decode(), self._ids[self._end - 1].decode()

    def tokens(self, prefix: str, step: int = 1) -> tuple[list[bytes], int]:
        """What follows `prefix`, with which all begin, up to the next separator: see Returns.

        Args:
            prefix: of all ids.
            step: of so many ids in a row one is looked at.

        Returns:
            what two or more have, as UTF-8, in order; how many there are in all, where each id without a separator
            counts as one.
        """
        start, match = len(prefix.encode()), _TO_SEPARATOR_RAW.match
        some = self._ids[self._begin : self._end : step]
        found = [token[0] for raw in some if (token := match(raw, start))]
        again = compress(found, map(eq, found, islice(found, 1, None)))  # in order: what is equal stands together
        return list(dict.fromkeys(again)), len(set(found)) + len(some) - len(found)


@dataclass(frozen=True)
class _Node:
    """All ids that begin with `prefix`, but for those that begin with one of `without`."""

    prefix: str
    ids: IdSet | _Few
    count: int
    without: tuple[str, ...] = ()

    @property
    def order(self) -> bytes:
        # 0xFF sorts above all of UTF-8: what is left of a prefix stands after its parts.
        return self.prefix.encode() + b"\xff" if self.without else self.prefix.encode()


def fold(ids: IdSet, *, groups: int, examples: int = 3) -> tuple[Group, ...]:
    """Fold `ids` into at most `groups` groups, ordered by prefix, what is left of one after its parts.

    Args:
        ids: what to fold; none gives no group.
        groups: at least 1.
        examples: at most so many for each group.

    Returns:
        groups of which each id is under exactly one: the one with the longest prefix that it begins with.

    Raises:
        ValueError: `groups` is less than 1.
    """
    if groups < 1:
        raise ValueError("there is no folding ids into less than one group")
    if not ids:
        return ()
    done: list[_Node] = []
    few = len(ids.pieces) == 1 and len(ids) <= _FEW
    heap = [(-len(ids), 0, _node(_Few.of(ids) if few else ids))]
    made = 1  # the number breaks ties, so that the same ids always fold alike
    while heap:
        node = heappop(heap)[2]
        parts = _split(node, groups - len(done) - len(heap))
        if not parts:
            done.append(node)
            continue
        for part in parts:
            if part.without:
                done.append(part)
            else:
                heappush(heap, (-part.count, made, part))
                made += 1
    return tuple(_group(node, examples) for node in sorted(done, key=lambda node: node.order))


def common_prefix(ids: IdSet | _Few) -> str:
    """What all `ids` begin with: up to its last separator, if it has one."""
    ends = _ends(ids)  # in order: what the first and the last share, all share
    shared = next((ends[0][:n] for n, both in enumerate(zip(*ends, strict=False)) if len({*both}) > 1), min(ends))
    meant = _TO_LAST_SEPARATOR.match(shared)
    return meant[0] if meant else shared


def _ends(ids: IdSet | _Few) -> Sequence[str]:
    """The first and the last, or the only one."""
    return ids.ends() if isinstance(ids, _Few) else ids.spread(2)


def _node(ids: IdSet | _Few) -> _Node:
    return _Node(common_prefix(ids), ids, len(ids))


def _split(node: _Node, slots: int) -> list[_Node]:
    """`node` as at most `slots` nodes; none when that would not say more."""
    if slots < 2 or node.count < 4:
        return []
    # The parts would hold half of the ids, so one of them so many that two of it are met at this step. Most often
    # there is none such, and then nothing more need be looked at.
    step = max(1, node.count // (4 * slots))
    if isinstance(node.ids, _Few) and not node.ids.tokens(node.prefix, step)[0]:
        return []
    parts = sorted(_parts(node, 4 * slots), key=len, reverse=True)
    if sum(map(len, parts)) < node.count or len(parts) > slots:
        del parts[slots - 1 :]  # one is for the others
    held = sum(map(len, parts))
    if held * 2 < node.count:
        return []
    made = [_node(ids) for ids in parts]
    if held < node.count:
        made.append(_Node(node.prefix, node.ids, node.count - held, tuple(part.prefix for part in made)))
    return made


def _parts(node: _Node, most: int) -> list[IdSet] | list[_Few]:
    """The ids of `node` by the prefixes one separator longer that at least two of them have, in order.

    Where there are more than `most` prefixes and ids without one, only those that hold one in `most` of the ids.
    """
    least = max(2, node.count // most)
    if isinstance(node.ids, _Few):
        # In order, so what begins alike stands together: of `least` such ids two are met at half as many a step.
        tokens, count = node.ids.tokens(node.prefix, least // 2)
        if count <= most:
            tokens, count = node.ids.tokens(node.prefix)
        if count <= most:
            least = 2
        found = [node.ids.starting_with(node.prefix + token.decode()) for token in tokens]
        return [ids for ids in found if len(ids) >= least]
    prefixes = _few_tokens(node, most)
    if prefixes is not None:
        least = 2
    else:
        # A part that holds one in some of the ids lies under at least one of as many that are evenly spread.
        prefixes = _likely_tokens(node.ids, node.prefix, 2 * most)
    return [ids for ids in map(node.ids.starting_with, prefixes) if len(ids) >= least]


def _few_tokens(node: _Node, most: int) -> list[str] | None:
    """All prefixes one separator longer than that of `node`; None when there are more than `most`."""
    found: list[str] = []
    at = node.ids.ceiling("")
    for _ in range(most):
        if at is None:
            return found
        token = _token(at, node.prefix)
        if token is None:
            at = node.ids.ceiling(at + "\0")
        else:
            found.append(token)
            at = node.ids.ceiling(_beyond(token))
    return found if at is None else None


def _likely_tokens(ids: IdSet, prefix: str, looks: int) -> list[str]:
    """Those of evenly spread ids, each once."""
    tokens = (_token(id_, prefix) for id_ in ids.spread(looks))
    return list(dict.fromkeys(token for token in tokens if token is not None))


def _token(id_: str, prefix: str) -> str | None:
    match = _TO_SEPARATOR.match(id_, len(prefix))
    return id_[: match.end()] if match else None


def _beyond(prefix: str) -> str:
    """The least text above everything that begins with `prefix`, whose last character is a separator."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _group(node: _Node, examples: int) -> Group:
    if not node.without:
        return Group(node.prefix, node.count, tuple(node.ids.first(examples)), _ends(node.ids)[-1])
    return Group(node.prefix, node.count, tuple(islice(_left(node), examples)), _last_left(node), others=True)


def _left(node: _Node) -> Iterator[str]:
    """The ids of `node` that are under none of its parts, in order."""
    at = node.ids.ceiling("")
    while at is not None:
        under = next(filter(at.startswith, node.without), None)
        if under is None:
            yield at
        at = node.ids.ceiling(at + "\0" if under is None else _beyond(under))


def _last_left(node: _Node) -> str:
    at = _ends(node.ids)[-1]
    while under := next(filter(at.startswith, node.without), None):
        # Counted to be there: below a part of `node` stands another id, as long as none of the others was met.
        at = node.ids.lower(under) or at
    return at

"""Ids by which of some sets hold them: by the declarations they come from, by what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Final

from reconciler.model.chunks import Chunk, ChunkWriter, Piece
from reconciler.model.idset import IdSet, IdSetBuilder
from reconciler.model.labels import borne
from reconciler.model.merging import shared, span

#: Numbers of sets, and the ids that are in exactly those.
Group = tuple[tuple[int, ...], IdSet]

#: Ids that wait for others of their group.
_WAITING: Final = 65_536

#: Looking at a chunk beside a set that overlaps with it costs as much as telling so many ids by their marks.
_PAIR: Final = 10

#: Ids that parts may hold beyond those asked for, and still be taken as they are, without them.
_FEW: Final = 65_536


def partition(ids: IdSet, parts: Sequence[IdSet]) -> list[Group]:
    """Group `ids` by which of `parts` hold them.

    Returns:
        pairs (numbers of the parts, the ids that are in exactly those), ordered by the numbers. Ids that are in
        none come first, under `()`. Groups are never empty; together they are `ids`.
    """
    equal = [part.is_known_to_be(ids) for part in parts]
    same = tuple(number for number, is_equal in enumerate(equal) if is_equal)
    others = [(number, part) for number, part in enumerate(parts) if part and not equal[number]]
    if ids and not others:
        return [(same, ids)]
    spans = [span(ids.pieces, part.pieces[0].first, part.pieces[-1].last) for _, part in others]
    if _PAIR * sum(map(len, spans)) <= len(ids) + sum(len(part) for _, part in others):
        return _chunk_by_chunk(ids, same, others, spans)
    found = _apart(ids, same, others)
    return _id_by_id(ids, same, others) if found is None else found


def _chunk_by_chunk(
    ids: IdSet, same: tuple[int, ...], parts: Sequence[tuple[int, IdSet]], spans: Sequence[range]
) -> list[Group]:
    """For few parts, or such as lie together.

    Args:
        ids: see `partition`.
        same: the numbers of those parts that hold all of it.
        parts: the others, by number.
        spans: with which chunks of `ids` each of them overlaps.
    """
    beside: list[list[tuple[int, IdSet]]] = [[] for _ in ids.pieces]
    for part_with_number, places in zip(parts, spans, strict=True):
        for at in places:
            beside[at].append(part_with_number)
    groups: dict[tuple[int, ...], ChunkWriter] = {}
    for chunk, there in zip(ids.pieces, beside, strict=True):
        whole = list(same)
        partly: list[tuple[int, set[bytes]]] = []
        for number, part in there:
            found = shared(part.pieces, chunk)
            if found is None:
                whole.append(number)
            elif found:
                partly.append((number, found))
        for numbers, piece in _by_signature(chunk, tuple(sorted(whole)), partly):
            groups.setdefault(numbers, ChunkWriter()).add(piece)
    return [(numbers, IdSet.of_chunks(groups[numbers].done())) for numbers in sorted(groups)]


def _by_signature(
    chunk: Chunk, whole: tuple[int, ...], partly: Sequence[tuple[int, set[bytes]]]
) -> Iterator[tuple[tuple[int, ...], Piece]]:
    """The ids of `chunk` by the parts that hold them: those of `whole` hold all, those of `partly` some."""
    if not partly:
        yield whole, chunk
        return
    ids = chunk.ids()
    if len(partly) == 1:  # most often
        number, found = partly[0]
        inside, outside = [raw for raw in ids if raw in found], [raw for raw in ids if raw not in found]
        if inside:
            yield tuple(sorted((*whole, number))), inside
        if outside:
            yield whole, outside
        return
    signatures = dict.fromkeys(ids, whole)
    for number, found in partly:
        longer: dict[tuple[int, ...], tuple[int, ...]] = {}
        for raw in ids if len(found) > len(ids) else found:
            if raw in found and (before := signatures.get(raw)) is not None:
                signatures[raw] = longer.get(before) or longer.setdefault(before, tuple(sorted((*before, number))))
    groups: dict[tuple[int, ...], list[bytes]] = {}
    for raw, numbers in signatures.items():
        groups.setdefault(numbers, []).append(raw)
    yield from groups.items()


def _apart(ids: IdSet, same: tuple[int, ...], parts: Sequence[tuple[int, IdSet]]) -> list[Group] | None:
    """For many parts of which no two share an id, as tickets do: each is a group, without what is not of `ids`.

    Returns:
        None when two of them do, or more than `_FEW` of their ids are not of `ids`. Arguments as above.
    """
    everything = IdSet.union(part for _, part in parts)
    if len(everything) != sum(len(part) for _, part in parts):
        return None
    rest, _, foreign = ids.compared(everything)
    if len(foreign) > _FEW:
        return None
    left_out = set(chain.from_iterable(foreign.raw()))
    groups = [(same, rest)]
    for number, part in parts:
        groups.append((tuple(sorted((*same, number))), _without(part, left_out) if left_out else part))
    return sorted((group for group in groups if group[1]), key=itemgetter(0))


def _without(part: IdSet, left_out: set[bytes]) -> IdSet:
    """`part` without a few ids."""
    if all(map(left_out.isdisjoint, part.raw())):
        return part
    builder = IdSetBuilder()
    for block in part.raw():
        builder.extend_raw([raw for raw in block if raw not in left_out])
    return builder.build()


def _id_by_id(ids: IdSet, same: tuple[int, ...], parts: Sequence[tuple[int, IdSet]]) -> list[Group]:
    """For many parts, each of which may overlap with all chunks, and with each other. Arguments as above."""
    own = ((0, block) for block in ids.blocks())
    others = ((mark, block) for mark, (_, part) in enumerate(parts, 1) for block in part.blocks())
    groups: dict[tuple[int, ...], IdSetBuilder] = {}
    waiting: dict[tuple[int, ...], list[bytes]] = {}  # what comes at once has an id or two of each group
    count = 0
    for marks, raw in borne(own, others):
        if marks[0]:
            continue  # not one of `ids`
        waiting.setdefault(marks, []).extend(raw)
        count += len(raw)
        if count > _WAITING:
            _hand_over(waiting, groups)
            count = 0
    _hand_over(waiting, groups)
    named = {
        tuple(sorted((*same, *(parts[mark - 1][0] for mark in marks[1:])))): builder.build()
        for marks, builder in groups.items()
    }
    return [(numbers, named[numbers]) for numbers in sorted(named)]


def _hand_over(waiting: dict[tuple[int, ...], list[bytes]], groups: dict[tuple[int, ...], IdSetBuilder]) -> None:
    """Give what waits to the builders of its groups. Nothing waits afterwards."""
    for marks, ids in waiting.items():
        groups.setdefault(marks, IdSetBuilder()).extend_raw(ids)
    waiting.clear()

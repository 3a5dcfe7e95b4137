"""Who named an id last: the one question behind every status, answered for millions of ids at once.

Blocks of ids come in order of the log, each under a key. What is asked is, for each key, the ids whose last block
bears it. A run whose blocks ascend names no id twice, so it becomes sets as it is; batches are cut from sorted
ids, so most logs are a few such runs. Short ones are taken together and told apart id by id, some megabytes at a
time. Then the newest layer counts, and of each older one what no newer has named.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from reconciler.model.chunks import Joined, bounds, size_of, split
from reconciler.model.idset import IdSet, IdSetBuilder

K = TypeVar("K", bound=Hashable)

#: Bytes of ids that are told apart one by one at once, and from which on a run is a layer of its own.
LAYER_BYTES: Final = 2 * 1_048_576


@dataclass(frozen=True, slots=True)
class _Layer(Generic[K]):
    """A part of the log. Attributes: ids: by the key under which it names them last. twice: named again in it."""

    ids: dict[K, IdSet]
    twice: IdSet = field(default_factory=IdSet)


def last_named(blocks: Iterable[tuple[K, Joined]]) -> dict[K, IdSet]:
    """For each key the ids that were named under it last.

    Args:
        blocks: (key, a chunk or ids in order joined by 0xFF), in order of the log.
    """
    layers = list(_layers(blocks))
    found: dict[K, list[IdSet]] = {}
    newer = IdSet()
    for layer in reversed(layers):
        for key, ids in layer.ids.items():
            found.setdefault(key, []).append(ids - newer)
        if len(layers) > 1:
            newer = IdSet.union([newer, *layer.ids.values()])
    return {key: IdSet.union(sets) for key, sets in found.items()}


def named_twice(blocks: Iterable[Joined]) -> IdSet:
    """The ids that are in more than one of `blocks` (chunks, or ids in order joined by 0xFF)."""
    found: list[IdSet] = []
    before = IdSet()
    for layer in _layers((None, block) for block in blocks):
        ids = IdSet.union(layer.ids.values())
        found += (layer.twice, ids & before)
        before |= ids
    return IdSet.union(found)


def _layers(blocks: Iterable[tuple[K, Joined]]) -> Iterator[_Layer[K]]:
    """Parts of the log, oldest first."""
    short: list[tuple[K, Joined]] = []
    size = 0
    for run in _runs(blocks):
        if isinstance(run, dict):
            if short:
                yield _told_apart(short)
                short, size = [], 0
            yield _Layer(run)
            continue
        short += run
        size += sum(size_of(block) for _, block in run)
        if size > LAYER_BYTES:
            yield _told_apart(short)
            short, size = [], 0
    if short:
        yield _told_apart(short)


def _runs(blocks: Iterable[tuple[K, Joined]]) -> Iterator[dict[K, IdSet] | list[tuple[K, Joined]]]:
    """Stretches in which every block stands above the one before it: long ones as sets, short ones as they are."""
    run: list[tuple[K, Joined]] = []
    size = 0
    builders: dict[K, IdSetBuilder] = {}
    greatest = b""
    for key, block in blocks:
        first, last = bounds(block)
        if first <= greatest:
            if run or builders:
                yield _ended(builders, run)
            run, size, builders = [], 0, {}
        greatest = last
        run.append((key, block))
        size += size_of(block)
        if size > LAYER_BYTES:
            _extend(builders, run)
            run, size = [], 0
    if run or builders:
        yield _ended(builders, run)


def _ended(
    builders: dict[K, IdSetBuilder], run: list[tuple[K, Joined]]
) -> dict[K, IdSet] | list[tuple[K, Joined]]:
    if not builders:
        return run
    _extend(builders, run)
    return {key: builder.build() for key, builder in builders.items()}


def _extend(builders: dict[K, IdSetBuilder], run: Iterable[tuple[K, Joined]]) -> None:
    for key, block in run:
        builder = builders.get(key)
        if builder is None:
            builder = builders[key] = IdSetBuilder()
        builder.extend_block(block)


def _told_apart(blocks: list[tuple[K, Joined]]) -> _Layer[K]:
    last: dict[bytes, K] = {}
    twice: list[bytes] = []
    for key, block in blocks:
        ids = split(block)
        twice += [raw for raw in ids if raw in last]
        last.update(dict.fromkeys(ids, key))
    parts: dict[K, list[bytes]] = {}
    for raw, key in last.items():
        parts.setdefault(key, []).append(raw)
    return _Layer({key: IdSet.of_raw(ids) for key, ids in parts.items()}, IdSet.of_raw(twice))

"""Who named an id last: the one question behind every status, answered for millions of ids at once.

Blocks of ids come in order of the log, each under a key. What is asked is, for each key, the ids whose last block
bears it. A run whose blocks ascend names no id twice, so it becomes sets as it is; batches are cut from sorted
ids, so most logs are a few such runs. Short ones are taken together and told apart id by id, some megabytes at a
time. Then of two layers that follow each other the newer one counts, and of the older one what it does not name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Generic, TypeVar

from reconciler.model.chunks import Joined, bounds, size_of, split
from reconciler.model.idset import IdSet, IdSetBuilder
from reconciler.model.partition import partition

K = TypeVar("K", bound=Hashable)

#: Bytes of ids that are told apart one by one at once, and from which on a run is a layer of its own.
LAYER_BYTES: Final = 2 * 1_048_576


@dataclass(frozen=True)
class _Layer(Generic[K]):
    """A part of the log.

    Attributes:
        ids: by the key under which it names them last; no id is under two keys.
        twice: named again in it.
        made_of: what the layers it was made of name, which is put together faster than thousands of `ids`.
    """

    ids: dict[K, IdSet]
    twice: IdSet = field(default_factory=IdSet)
    made_of: tuple[IdSet, ...] = ()

    @cached_property
    def all(self) -> IdSet:
        """Whatever it names."""
        made_of = self.made_of
        return IdSet.union(made_of if made_of and len(made_of) < len(self.ids) else self.ids.values())

    @cached_property
    def count(self) -> int:
        """How many ids that are."""
        return sum(map(len, self.ids.values()))


def last_named(blocks: Iterable[tuple[K, Joined]]) -> dict[K, IdSet]:
    """For each key the ids that were named under it last.

    Args:
        blocks: (key, a chunk or ids in order joined by 0xFF), in order of the log.
    """
    return _as_one(_layers(blocks), _overlaid).ids


def named_twice(blocks: Iterable[Joined]) -> IdSet:
    """The ids that are in more than one of `blocks` (chunks, or ids in order joined by 0xFF)."""
    return _as_one(_layers((None, block) for block in blocks), _counted).twice


def _as_one(layers: Iterable[_Layer[K]], together: Callable[[_Layer[K], _Layer[K]], _Layer[K]]) -> _Layer[K]:
    """All layers as one. Two that follow each other are put together when the older one is not much larger.

    So each id is gone through a few times only, and few layers wait, each less than half as large as the one
    before.

    Args:
        layers: the oldest first.
        together: makes one of an older and the next newer one.
    """
    waiting: list[_Layer[K]] = []
    for layer in layers:
        waiting.append(layer)
        while len(waiting) > 1 and waiting[-2].count <= 2 * waiting[-1].count:
            waiting[-2:] = [together(*waiting[-2:])]
    while len(waiting) > 1:
        waiting[-2:] = [together(*waiting[-2:])]
    return waiting[0] if waiting else _Layer({})


def _overlaid(older: _Layer[K], newer: _Layer[K]) -> _Layer[K]:
    """All that the two name, but for `twice`: an id that both name is the newer one's."""
    ids = dict(newer.ids)
    for key, left in _without(older, newer.all).items():
        ids[key] = left | ids[key] if key in ids else left
    return _Layer(ids, made_of=(older.all, newer.all))


def _without(layer: _Layer[K], ids: IdSet) -> dict[K, IdSet]:
    """The ids of `layer`, but for `ids`."""
    keys, sets = list(layer.ids), list(layer.ids.values())
    if len(keys) == 1:
        return {keys[0]: sets[0] - ids}
    left = dict(layer.ids)
    for (number,), again in partition(layer.all & ids, sets):  # thousands of sets are best asked all at once
        left[keys[number]] -= again
    return left


def _counted(older: _Layer[K], newer: _Layer[K]) -> _Layer[K]:
    """All that the two name, under the one key that both have, and what was named twice in them."""
    again = IdSet.union([older.twice, newer.twice, older.all & newer.all])
    return _Layer(dict.fromkeys((*older.ids, *newer.ids), older.all | newer.all), again)


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

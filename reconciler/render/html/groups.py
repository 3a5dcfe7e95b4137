"""Ids in folded groups, with exact counts, and what the page carries of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.model.idset import IdSet
from reconciler.render.folding import Group as Folded
from reconciler.render.folding import fold
from reconciler.render.html.ids import Carried

#: Groups of one action at most.
_GROUPS = 12

#: Ids shown of each group before the script lists all, or where none runs.
_EXAMPLES = 5

#: So few ids are shown as they are.
_FLAT = 8


@dataclass(frozen=True, slots=True)
class Group:
    """Ids that stand together.

    Attributes:
        anchor: of the element they stand in.
        entry: number of what the page carries of them.
        prefix: what all begin with, "" for nothing.
        others: True when further ids that begin with `prefix` have a group of their own.
        count: exact.
        examples: the first ones.
        flat: all of them are shown, there is nothing to unfold.
    """

    anchor: str
    entry: int
    prefix: str
    others: bool
    count: int
    examples: tuple[str, ...]
    flat: bool = False

    @property
    def more(self) -> int:
        """Ids that are no examples."""
        return self.count - len(self.examples)


def groups_of(ids: IdSet, *, anchor: str, where: str, carried: Carried, searched: bool = True) -> Iterator[Group]:
    """Fold `ids`, and hand each group's to `carried`.

    Args:
        ids: what to fold.
        anchor: begins the anchor of each group; unique on the page together with the number of its entry.
        where: says where they are, for somebody who looks for an id.
        carried: takes them.
        searched: see `ids.Entry`.
    """
    few = len(ids) <= _FLAT
    found = fold(ids, groups=1 if few else _GROUPS, examples=_FLAT if few else _EXAMPLES)
    for each in found:
        number = len(carried.entries)
        name = f"{anchor}-ids-{number}"
        mine = _members(ids, each, found) if carried.room(searched=searched) else IdSet()
        carried.add(name, where, mine, each.count, searched=searched)
        yield Group(name, number, each.prefix, each.others, each.count, each.examples, few)


def _members(ids: IdSet, group: Folded, found: tuple[Folded, ...]) -> IdSet:
    """The ids that are under `group`: each is under the one with the longest prefix that it begins with."""
    mine = ids.starting_with(group.prefix)
    if not group.others:
        return mine
    longer = {
        each.prefix for each in found if each.prefix != group.prefix and each.prefix.startswith(group.prefix)
    }
    return mine - IdSet.union(mine.starting_with(prefix) for prefix in longer)

"""Which earlier wording of an entry a later one continues.

The log numbers the entries of a manifest for an index by their place, and they move when one above them is added
or removed. So a wording continues, of the same manifest and index:

1. the entry that said just the same, wherever it stood;
2. the entry that had its place, if it gives the same reason;
3. the entry of the same reason whose place another one has taken;
4. the entry that had its place, if that has not moved: a reason that was reworded;

and else it is a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeVar


class Wording(Protocol):
    """An entry as it is written, or as it was recorded. `ordinal`: its place."""

    @property
    def ordinal(self) -> int:
        """See the class."""

    @property
    def reason(self) -> str:
        """As written."""

    def document(self) -> dict[str, Any]:
        """What it says."""


L = TypeVar("L")
E = TypeVar("E")
W = TypeVar("W", bound=Wording)


def saying(wording: Wording) -> str:
    """All that it says, as a key."""
    return repr(wording.document())


#: What the two have in common for each of the rules.
_RULES: Final[tuple[Callable[[Wording], object], ...]] = (
    saying,
    lambda each: (each.ordinal, each.reason),
    lambda each: each.reason,
    lambda each: each.ordinal,
)


def continued(later: Mapping[L, Wording], earlier: Iterable[dict[E, W]]) -> dict[L, E]:
    """What each of `later` continues; those that are new are left out.

    Args:
        later: of one manifest and index, in their order, by any key.
        earlier: for each of the four rules what it may find, by any key. Each is continued once.
    """
    found: dict[L, E] = {}
    used: set[E] = set()
    waiting = dict(later)
    for in_common, candidates in zip(_RULES, earlier, strict=True):
        fitting: dict[object, list[E]] = {}
        for one in reversed(candidates):
            if one not in used:
                fitting.setdefault(in_common(candidates[one]), []).append(one)
        for key, wording in list(waiting.items()):
            if keys := fitting.get(in_common(wording)):
                found[key] = keys.pop()
                used.add(found[key])
                del waiting[key]
    return found

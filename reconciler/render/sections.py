"""Folded sections of Markdown in limited room: the largest name fewer ids in coarser groups, then the least are
left out.

What `plan_rows` says of an index, as the lines of a diff that a host colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reconciler.render.markdown import block, size
from reconciler.render.plan_rows import Detail, Row

#: How much a section shows, from the richest to the poorest.
LEVELS = (
    Detail(100, 20, alone=5, each=3, last=True, declarations=200, places=10, prefixes=50, letters=400),
    Detail(25, 12, alone=3, each=2, last=True, declarations=50, places=5, prefixes=20, letters=240),
    Detail(10, 6, alone=3, each=1, last=True, declarations=20, places=3, prefixes=10, letters=160),
    Detail(3, 3, alone=1, each=1, last=False, declarations=8, places=2, prefixes=3, letters=100),
    Detail(1, 1, alone=1, each=1, last=False, declarations=2, places=1, prefixes=1, letters=60),
)

#: What any section takes at least, some of it for its frame.
_LEAST = 200


@dataclass(frozen=True, slots=True)
class Section:
    """A section and its size in bytes. One that is known to be larger than its room has no lines."""

    lines: list[str]
    bytes: int


def section(summary: str, first: Iterable[str], rows: Iterable[Row], room: int) -> Section:
    """A folded section.

    Args:
        summary: what stands there unfolded; HTML.
        first: lines before the rows, neutralised.
        rows: the rest.
        room: once it takes more bytes than that, no more rows are asked for.
    """
    head = ["<details>", f"<summary>{summary}</summary>", ""]
    held = list(first)
    taken = size(head) + _LEAST
    for row in rows:
        held.append(_line(row))
        taken += len(held[-1].encode()) + 1
        if taken > room:
            return Section([], room + 1)
    lines = [*head, *block(held, "diff"), "", "</details>", ""]
    return Section(lines, size(lines))


def fit(
    make: Callable[[int, Detail], Section], weights: Sequence[int], room: int, levels: Sequence[Detail] = LEVELS
) -> dict[int, list[str]]:
    """As many sections as fit in `room` bytes, each as rich as fits: the largest is made poorer first.

    Args:
        make: the section of a number, below the length of `weights`, at a level.
        weights: how much each section matters: what matters least is left out first.
        room: bytes.
        levels: from the richest to the poorest.

    Returns:
        the lines of those that fit, by number, in order.
    """
    order = sorted(range(len(weights)), key=lambda number: (-weights[number], number))
    # More sections than could fit are not worth the time.
    made = {number: make(number, levels[0]) for number in order[: max(room, 0) // _LEAST]}
    level = dict.fromkeys(made, 0)
    while made and sum(each.bytes for each in made.values()) > room:
        largest = max(made, key=lambda number: (level[number] + 1 < len(levels), made[number].bytes))
        if level[largest] + 1 < len(levels):
            level[largest] += 1
            made[largest] = make(largest, levels[level[largest]])
        elif made[largest].bytes > room:
            del made[largest]
        else:
            del made[next(reversed(made))]  # the one that matters least
    return {number: made[number].lines for number in sorted(made)}


def _line(row: Row) -> str:
    """A line of a diff: its first character is what colours it."""
    if row.place:
        return f"@@ {row.text} @@"
    indent = "  " * (row.depth - 1)
    return f"{row.kind.symbol if row.kind else ' '} {indent}{row.text}".rstrip(" ")

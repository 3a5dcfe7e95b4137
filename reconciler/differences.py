"""What differs between two small documents, in lines that people read. Never for sets of ids (see IdSet)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Lines of differences that are shown; the rest is counted.
MAXIMUM = 40


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf, or a whole branch, that differs.

    Attributes:
        path: keys and places from the root.
        kind: "added", "removed" or "changed".
        before: the value there, None where it was added.
        after: the value there, None where it was removed.
    """

    path: tuple[str | int, ...]
    kind: str
    before: Any = None
    after: Any = None


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """What differs, in order of its path. Arguments as `describe`."""
    if before == after:
        return ()
    from deepdiff import DeepDiff  # noqa: PLC0415 - 140 ms of import that most runs never need

    # Unless told otherwise it passes over keys that begin with "__": here they are names of files.
    tree = DeepDiff(
        before, after, view="tree", verbose_level=2, threshold_to_diff_deeper=0, ignore_private_variables=False
    )
    found = [(kind, level) for kind, levels in tree.items() for level in levels]
    return tuple(_change(kind, level) for kind, level in sorted(found, key=_order))


def describe(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """One line for each leaf that differs: `path: old → new`, `path: added …`, `path: removed …`.

    Args:
        before, after: JSON-like documents. Lists are compared in order.

    Returns:
        lines in order of their path; empty when the documents are equal; at most 40, then a count.
    """
    return capped([_line(change) for change in changes(before, after)])


def capped(lines: list[str]) -> tuple[str, ...]:
    """At most MAXIMUM of `lines`, then how many more there are."""
    if len(lines) > MAXIMUM:
        lines = [*lines[:MAXIMUM], f"… and {len(lines) - MAXIMUM:,} more differences"]
    return tuple(lines)


def _order(found: tuple[str, Any]) -> tuple[list[tuple[bool, int, str]], str]:
    """By path, places in a list by number; then what happened there."""
    kind, level = found
    path = level.path(output_format="list")
    return [(isinstance(p, str), p if isinstance(p, int) else 0, str(p)) for p in path], kind


def _change(kind: str, level: Any) -> Change:
    path = tuple(level.path(output_format="list"))
    if kind.endswith("_added"):
        return Change(path, "added", after=level.t2)
    if kind.endswith("_removed"):
        return Change(path, "removed", before=level.t1)
    return Change(path, "changed", level.t1, level.t2)


def _line(change: Change) -> str:
    where = _path(change.path)
    if change.kind == "added":
        return f"{where}: added {_value(change.after)}"
    if change.kind == "removed":
        return f"{where}: removed {_value(change.before)}"
    return f"{where}: {_value(change.before)} → {_value(change.after)}"


def _path(parts: tuple[str | int, ...]) -> str:
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{one_line(p)}" for p in parts)
    return path.removeprefix(".") or "document"


def _value(value: Any) -> str:
    text = "none" if value is None else f'"{one_line(value)}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}…"


def one_line(text: str) -> str:
    """`text` with its line breaks, and whatever else does not print, shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

"""What differs between two small documents, in lines that people read. Never for sets of ids (see IdSet)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MAXIMUM = 40


def describe(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """One line for each leaf that differs: `path: old → new`, `path: added …`, `path: removed …`.

    Args:
        before, after: JSON-like documents. Lists are compared in order.

    Returns:
        lines in order of their path; empty when the documents are equal; at most 40, then a count.
    """
    if before == after:
        return ()
    from deepdiff import DeepDiff  # noqa: PLC0415 - 140 ms of import that most runs never need

    # Unless told otherwise it passes over keys that begin with "__": here they are names of files.
    tree = DeepDiff(
        before, after, view="tree", verbose_level=2, threshold_to_diff_deeper=0, ignore_private_variables=False
    )
    found = [(kind, level) for kind, levels in tree.items() for level in levels]
    lines = [_line(kind, level) for kind, level in sorted(found, key=_order)]
    if len(lines) > _MAXIMUM:
        lines = [*lines[:_MAXIMUM], f"… and {len(lines) - _MAXIMUM} more differences"]
    return tuple(lines)


def _order(found: tuple[str, Any]) -> tuple[list[tuple[bool, int, str]], str]:
    """By path, places in a list by number; then what happened there."""
    kind, level = found
    path = level.path(output_format="list")
    return [(isinstance(p, str), p if isinstance(p, int) else 0, str(p)) for p in path], kind


def _line(kind: str, level: Any) -> str:
    where = _path(level.path(output_format="list"))
    if kind.endswith("_added"):
        return f"{where}: added {_value(level.t2)}"
    if kind.endswith("_removed"):
        return f"{where}: removed {_value(level.t1)}"
    return f"{where}: {_value(level.t1)} → {_value(level.t2)}"


def _path(parts: list[Any]) -> str:
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{_one_line(p)}" for p in parts)
    return path.removeprefix(".") or "document"


def _value(value: Any) -> str:
    text = "none" if value is None else f'"{_one_line(value)}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}…"


def _one_line(text: str) -> str:
    """`text` with its line breaks, and whatever else does not print, shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

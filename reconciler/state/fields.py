"""What the fields of events may hold, checked when a frame is read: a log may come from anywhere.

Types, as far as the annotations of the fields say them, were checked before; objects are dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final


def _is_int(value: object) -> bool:
    return type(value) is int  # JSON makes no others, but for booleans


def _is_array(value: object) -> bool:
    return isinstance(value, (list, tuple))  # a tuple is the default of a field that was left out


def _are_strings(value: Any) -> bool:
    return _is_array(value) and all(type(each) is str and each for each in value)


def _are_ranges(value: Any) -> bool:
    return _is_array(value) and all(
        _is_array(r) and len(r) == 2 and all(map(_is_int, r)) and 1 <= r[0] <= r[1] for r in value
    )


def _are_runs(value: Sequence[Sequence[Any]]) -> bool:
    for run in value:
        if len(run) != 2:
            return False
        numbers, count = run
        if type(count) is not int or count < 1 or not _is_array(numbers) or not set(map(type, numbers)) <= {int}:
            return False
    return True


def _are_names(value: dict[str, Any]) -> bool:
    return not value or (
        _is_int(value.get("count")) and value["count"] >= 0 and isinstance(value.get("digest"), str)
    )


def _are_held(value: dict[str, Any]) -> bool:
    return (
        _are_ranges(value.get("batches", []))
        and _are_strings(value.get("except_ids", []))
        and _are_strings(value.get("ids", []))
        and _is_array(value.get("declarations", []))
        and all(map(_is_int, value.get("declarations", [])))
    )


def _is_source(value: dict[str, Any]) -> bool:
    return (
        all(isinstance(value.get(name), str) for name in ("kind", "path", "column", "digest"))
        and _is_int(value.get("count"))
        and value["count"] >= 0
    )


def _is_prefix(value: dict[str, Any]) -> bool:
    if not isinstance(value.get("text"), str):
        return False
    keeps = value.get("keeps") or {}
    return (
        (value.get("count") is None or _is_int(value["count"]))
        and isinstance(keeps, dict)
        and _are_strings(keeps.get("prefixes", []))
        and _are_strings(keeps.get("ids", []))
    )


def _is_day(value: str | None) -> bool:
    try:
        return value is None or bool(date.fromisoformat(value))
    except ValueError:
        return False


#: What a field may hold beyond what its type says, by its annotation.
FITS: Final[dict[str, Callable[[Any], bool]]] = {
    "Ranges": _are_ranges,
    "DeclarationRuns": _are_runs,
    "Names": _are_names,
    "Held": _are_held,
    "Until": _is_day,
    "Sources": lambda value: all(map(_is_source, value)),
    "Prefixes": lambda value: all(map(_is_prefix, value)),
}

"""What the fields of events may hold, checked when a frame is read: a log may come from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final


def _is_int(value: object) -> bool:
    return type(value) is int  # JSON makes no others, but for booleans


def _is_array(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _are_strings(value: Any) -> bool:
    if not _is_array(value):
        return False
    try:
        "".join(value)  # of many ids the fastest way to see that they are text
    except TypeError:
        return False
    return all(value)


def _are_ranges(value: Any) -> bool:
    return _is_array(value) and all(
        _is_array(r) and len(r) == 2 and all(map(_is_int, r)) and 1 <= r[0] <= r[1] for r in value
    )


def _are_runs(value: Any) -> bool:
    if not _is_array(value):
        return False
    for run in value:
        if not _is_array(run) or len(run) != 2:
            return False
        numbers, count = run
        if type(count) is not int or count < 1 or not _is_array(numbers) or not set(map(type, numbers)) <= {int}:
            return False
    return True


def _are_names(value: Any) -> bool:
    return isinstance(value, dict) and (
        not value or (_is_int(value.get("count")) and value["count"] >= 0 and isinstance(value.get("digest"), str))
    )


def _are_held(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _are_ranges(value.get("batches", ()))
        and _are_strings(value.get("except_ids", ()))
        and _are_strings(value.get("ids", ()))
        and _is_array(value.get("declarations", ()))
        and all(map(_is_int, value.get("declarations", ())))
    )


def _is_source(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name), str) for name in ("kind", "path", "column", "digest"))
        and _is_int(value.get("count"))
        and value["count"] >= 0
    )


def _is_prefix(value: Any) -> bool:
    if not (isinstance(value, dict) and isinstance(value.get("text"), str)):
        return False
    keeps = value.get("keeps") or {}
    return (
        (value.get("count") is None or _is_int(value["count"]))
        and isinstance(keeps, dict)
        and _are_strings(keeps.get("prefixes", ()))
        and _are_strings(keeps.get("ids", ()))
    )


def _is_day(value: Any) -> bool:
    try:
        return value is None or bool(date.fromisoformat(value))
    except (TypeError, ValueError):
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

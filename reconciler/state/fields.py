"""What the fields of events may hold, checked when a frame is read: a log may come from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_array(value: object) -> bool:
    return isinstance(value, list | tuple)


def _are_strings(value: Any) -> bool:
    return _is_array(value) and set(map(type, value)) <= {str} and "" not in value


def _are_ranges(value: Any) -> bool:
    return _is_array(value) and all(
        _is_array(r) and len(r) == 2 and all(map(_is_int, r)) and 1 <= r[0] <= r[1] for r in value
    )


def _are_runs(value: Any) -> bool:
    return _is_array(value) and all(
        _is_array(r) and len(r) == 2 and _is_array(r[0]) and all(map(_is_int, r[0])) and _is_int(r[1]) and r[1] > 0
        for r in value
    )


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


#: What a field may hold, by its annotation. Text is never empty inside `Sequence[str]`: those are ids.
FITS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "int": _is_int,
    "int | None": lambda value: value is None or _is_int(value),
    "float": lambda value: _is_int(value) or isinstance(value, float),
    "bool": lambda value: isinstance(value, bool),
    "Sequence[str]": _are_strings,
    "Ranges": _are_ranges,
    "DeclarationRuns": _are_runs,
    "Names": _are_names,
    "Held": _are_held,
    "Sequence[Mapping[str, Any]]": lambda value: _is_array(value) and all(isinstance(v, dict) for v in value),
    "Mapping[str, Any]": lambda value: isinstance(value, dict),
    "Mapping[str, int]": lambda value: isinstance(value, dict) and all(map(_is_int, value.values())),
}

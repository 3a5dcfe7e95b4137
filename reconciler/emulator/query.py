"""Nearest neighbours in plain Python: metrics, metadata filters, and the shape of matches."""

import hashlib
import heapq
import json
import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter, mul
from typing import Any

from reconciler.emulator import errors
from reconciler.emulator.settings import Limits
from reconciler.emulator.storage import VectorRow

Indexed = Mapping[str, tuple[str, int]]
"""property -> (type, version of creation): the metadata indexes of an index."""

_LOWER = {"$gt", "$gte"}
_UPPER = {"$lt", "$lte"}
_SETS = {"$in", "$nin"}
_OPERATORS = {"$eq", "$ne"} | _SETS | _LOWER | _UPPER


def values_of(row: VectorRow, dimensions: int) -> "array[float]":
    """The values of a vector. A seeded vector has none stored: they follow from its id, the same every time."""
    values: array[float] = array("f")
    if row.values is not None:
        values.frombytes(row.values)
    else:
        digest = hashlib.shake_128(row.id.encode()).digest(dimensions)
        values.extend((byte - 127.5) / 128 for byte in digest)
    return values


def scorer(metric: str, vector: Sequence[float]) -> Callable[[Sequence[float]], float]:
    """The score of a stored vector against the query, for a metric.

    cosine: similarity, 1 is nearest. euclidean: distance, 0 is nearest. dot-product: the negated product, so
    that here too the smaller is the nearer, as the documentation describes it.
    """
    if metric == "euclidean":
        return lambda values: math.dist(vector, values)
    if metric == "dot-product":
        return lambda values: -sum(map(mul, vector, values))
    length = math.hypot(*vector)

    def cosine(values: Sequence[float]) -> float:
        lengths = length * math.hypot(*values)
        return sum(map(mul, vector, values)) / lengths if lengths else 0.0

    return cosine


def nearest(
    rows: Iterable[VectorRow],
    *,
    metric: str,
    vector: Sequence[float],
    dimensions: int,
    top_k: int,
    accepts: Callable[[VectorRow], bool] | None = None,
) -> list[tuple[float, VectorRow]]:
    """The `top_k` nearest of the rows that `accepts` takes, nearest first; equals in the order of ids."""
    score = scorer(metric, vector)
    scored = ((score(values_of(row, dimensions)), row) for row in rows if accepts is None or accepts(row))
    if metric == "cosine":
        return heapq.nlargest(top_k, scored, key=itemgetter(0))
    return heapq.nsmallest(top_k, scored, key=itemgetter(0))


@dataclass(frozen=True, slots=True)
class _Condition:
    property: str
    operator: str
    operand: Any


class Filter:
    """A checked metadata filter.

    Only properties with a metadata index can be filtered on, and only vectors written after its creation are
    in it (documented). A vector that an index does not cover counts as one without that property: it fails
    `$eq`, `$in` and every range, and passes `$ne` and `$nin` (chosen; the documentation is silent).

    Raises:
        ApiError: the filter is malformed.
    """

    def __init__(self, document: Any, indexed: Indexed, limits: Limits) -> None:
        if not isinstance(document, dict) or not document:
            raise errors.invalid("filter must be a non-empty object")
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode("utf-8", "surrogatepass")) >= limits.filter_bytes:
            raise errors.invalid(f"filter must be less than {limits.filter_bytes} bytes")
        self._indexed = indexed
        self._cut = limits.indexed_string_bytes
        self._conditions = [each for key, value in document.items() for each in self._parse(key, value)]

    def _parse(self, key: str, value: Any) -> list[_Condition]:
        if not key or key.startswith("$") or '"' in key or "|" in key or len(key) > 512:
            raise errors.invalid(f"invalid filter key {json.dumps(key)}")
        if not isinstance(value, dict):
            return [_Condition(key, "$eq", self._scalar(value))]
        operators = set(value)
        pair = len(operators) == 2 and len(operators & _LOWER) == 1 and len(operators & _UPPER) == 1
        if not operators <= _OPERATORS or not (len(operators) == 1 or pair):
            raise errors.invalid(f"invalid filter operators for {json.dumps(key)}")
        conditions = []
        for operator, operand in value.items():
            if operator not in _SETS:
                conditions.append(_Condition(key, operator, self._scalar(operand)))
            elif isinstance(operand, list) and operand:
                conditions.append(_Condition(key, operator, [self._scalar(each) for each in operand]))
            else:
                raise errors.invalid(f"filter operator {operator} expects a non-empty array")
        return conditions

    def _scalar(self, value: Any) -> Any:
        if isinstance(value, dict | list):
            raise errors.invalid("filter values must be strings, numbers, booleans or null")
        return self._shortened(value)

    def _shortened(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return value.encode("utf-8", "surrogatepass")[: self._cut].decode("utf-8", "ignore")

    def __call__(self, row: VectorRow) -> bool:
        """Whether a vector passes every condition."""
        metadata = {} if row.metadata is None else json.loads(row.metadata)
        return all(self._holds(each, row, metadata) for each in self._conditions)

    def _holds(self, condition: _Condition, row: VectorRow, metadata: dict[str, Any]) -> bool:
        value = self._shortened(indexed_value(condition.property, row, metadata, self._indexed))
        operand = condition.operand
        match condition.operator:
            case "$eq":
                return _same(value, operand)
            case "$ne":
                return not _same(value, operand)
            case "$in":
                return any(_same(value, each) for each in operand)
            case "$nin":
                return not any(_same(value, each) for each in operand)
        if _kind(value) != _kind(operand) or _kind(value) not in ("string", "number"):
            return False
        match condition.operator:
            case "$lt":
                return bool(value < operand)
            case "$lte":
                return bool(value <= operand)
            case "$gt":
                return bool(value > operand)
        return bool(value >= operand)


def indexed_value(name: str, row: VectorRow, metadata: dict[str, Any], indexed: Indexed) -> Any:
    """What the metadata index `name` holds of a vector; None if there is none, or it does not cover the vector."""
    kind, version = indexed.get(name, ("", 0))
    if row.inserted <= version and kind:
        return None
    value: Any = metadata
    for step in name.split("."):  # a dot is reserved for nesting (documented)
        value = value.get(step) if isinstance(value, dict) else None
    return value if kind and _kind(value) == kind else None


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "other"


def _same(value: Any, operand: Any) -> bool:
    return bool(value == operand) and _kind(value) == _kind(operand)

"""Faults that a test orders: what goes wrong, for which requests, from which call on, how often."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from reconciler.emulator.request import OPERATIONS

Kind = Literal[
    "drop_before",
    "drop_after",
    "cut_body",
    "delay_before",
    "delay_after",
    "error",
    "raw",
    "redirect",
    "index_missing",
    "id_limit",
    "null_mutation",
    "missing_result",
    "result",
    "truncate",
    "message",
    "headers",
]

KINDS: tuple[str, ...] = get_args(Kind)

_NUMBERS: tuple[type, ...] = (int, float)
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        ("kind", "operation", "account", "index", "with_id", "message", "body", "content_type", "location"), (str,)
    ),
    **dict.fromkeys(("nth", "times", "status", "code", "limit"), (int,)),
    "seconds": _NUMBERS,
    "retry_after": (*_NUMBERS, str),
    "accept": (bool,),
    "headers": (dict,),
}
_NULLABLE = frozenset(
    {"operation", "account", "index", "with_id", "times", "status", "code", "message", "retry_after", "limit"}
    | {"body", "location"}
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One ordered fault.

    Which requests: all of `operation`, `account`, `index`, `with_id` that are given must match; of the
    matching requests, counted from 1 since the fault was added, those from the `nth` on, `times` of them
    (None: for ever).

    Kinds:
        drop_before: the connection is cut; nothing is accepted, not even counted against the budget.
        drop_after: the request is performed, then the connection is cut before any answer.
        cut_body: performed; the answer's headers arrive, its body breaks off and the connection is cut.
        delay_before: `seconds` pass before the request is performed, even if the client has gone meanwhile.
        delay_after: performed at once, answered after `seconds`.
        error: `status` (500), `code`, `message` and `retry_after` instead of an answer; the code and message
            follow the status if not given (429: 971, 401 and 403: 10000, else 10001). Not performed, unless
            `accept`.
        raw: `status` (502) and `body` as `content_type` (an HTML gateway page). Not performed, unless
            `accept`.
        redirect: `status` (307) to `location`. Not performed.
        index_missing: `code` (3000) with `status` (404), as if the index did not exist. Not performed.
        id_limit: requests with more than `limit` ids are refused with 40007 naming `limit`. Only such
            requests match. Usually `times=None`.
        null_mutation: performed; `mutationId` is null.
        missing_result: performed; `result` is null.
        result: performed; `result` is replaced by the given JSON value, of whatever type.
        truncate: performed; the JSON is cut in the middle with a matching Content-Length, so that it is
            complete HTTP but not JSON.
        message: performed; `messages` gains `{code, message}` (10000, "emulated message").
        headers: performed; `headers` are set on the answer, replacing those of the same name.
    """

    kind: Kind
    operation: str | None = None
    account: str | None = None
    index: str | None = None
    with_id: str | None = None
    nth: int = 1
    times: int | None = 1
    seconds: float = 0.0
    status: int | None = None
    code: int | None = None
    message: str | None = None
    retry_after: float | str | None = None
    limit: int | None = None
    accept: bool = False
    result: Any = None
    body: str | None = None
    content_type: str = "text/html; charset=utf-8"
    location: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}; known: {', '.join(KINDS)}")
        if self.operation is not None and self.operation not in OPERATIONS:
            # Misspelt, it would never match, and a test would pass without its fault.
            raise ValueError(f"unknown operation {self.operation!r}; known: {', '.join(OPERATIONS)}")
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise ValueError("nth and times count from 1")
        if self.kind == "id_limit" and (self.limit is None or self.limit < 1):
            raise ValueError("id_limit needs a limit of at least 1")
        if self.kind == "redirect" and self.location is None:
            raise ValueError("redirect needs a location")
        if self.seconds < 0:
            raise ValueError("seconds cannot be negative")

    @property
    def performs(self) -> bool:
        """Whether a request that meets this fault is performed nevertheless."""
        if self.kind in ("drop_before", "redirect", "index_missing", "id_limit"):
            return False
        return self.accept or self.kind not in ("error", "raw")

    def matches(self, operation: str | None, account: str | None, index: str | None, ids: Sequence[str]) -> bool:
        """Whether a request is of those that this fault means, whatever its turn."""
        return (
            self.operation in (None, operation)
            and self.account in (None, account)
            and self.index in (None, index)
            and (self.with_id is None or self.with_id in ids)
            and (self.kind != "id_limit" or len(ids) > (self.limit or 0))
        )

    def to_json(self) -> dict[str, Any]:
        """The fault as the control route shows it: only what differs from the defaults."""
        default = asdict(Fault(kind="message"))
        shown = {key: value for key, value in asdict(self).items() if value != default[key]}
        return {"kind": self.kind, **shown}

    @classmethod
    def from_json(cls, document: Any) -> "Fault":
        """A fault from a JSON object with the fields of this class.

        Raises:
            ValueError: not an object, an unknown field, a wrong type or a value out of range.
        """
        if not isinstance(document, dict) or "kind" not in document:
            raise ValueError("a fault is a JSON object with at least `kind`")
        known = {each.name for each in fields(cls)}
        unknown = sorted(set(document) - known)
        if unknown:
            raise ValueError(f"unknown fault fields {unknown}; known: {sorted(known)}")
        for name, value in document.items():
            expected = _TYPES.get(name)
            # True is an int to Python, but not to anybody who writes JSON.
            wrong = expected is not None and (
                not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected)
            )
            if wrong and not (value is None and name in _NULLABLE):
                raise ValueError(f"fault field {name!r} has the wrong type: {type(value).__name__}")
        return cls(**document)


@dataclass(slots=True)
class _Ordered:
    number: int
    fault: Fault
    seen: int = 0
    hits: int = 0


class FaultBook:
    """The faults in force. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[_Ordered] = []
        self._next = 1

    def add(self, fault: Fault) -> int:
        """Order a fault; its count of matching requests starts now. Returns the number that `remove` takes."""
        with self._lock:
            number = self._next
            self._next += 1
            self._faults.append(_Ordered(number, fault))
            return number

    def remove(self, number: int) -> bool:
        """Withdraw one fault; False if there is none of that number."""
        with self._lock:
            before = len(self._faults)
            self._faults = [each for each in self._faults if each.number != number]
            return len(self._faults) < before

    def clear(self) -> None:
        """Withdraw every fault."""
        with self._lock:
            self._faults.clear()

    def hits(self, number: int) -> int:
        """How many requests met the fault of this number; 0 if there is none."""
        with self._lock:
            return sum(each.hits for each in self._faults if each.number == number)

    def listing(self) -> list[dict[str, Any]]:
        """Every fault with its number, how many matching requests it saw and how many it hit."""
        with self._lock:
            return [
                {"number": each.number, "seen": each.seen, "hits": each.hits, "fault": each.fault.to_json()}
                for each in self._faults
            ]

    def meet(
        self, operation: str | None, account: str | None, index: str | None, ids: Sequence[str]
    ) -> tuple[Fault, ...]:
        """The faults that one arriving request meets, in the order they were added. Counts the request."""
        met: list[Fault] = []
        with self._lock:
            for each in self._faults:
                fault = each.fault
                if not fault.matches(operation, account, index, ids):
                    continue
                each.seen += 1
                if each.seen >= fault.nth and (fault.times is None or each.seen < fault.nth + fault.times):
                    each.hits += 1
                    met.append(fault)
        return tuple(met)

"""Text becomes a plan again, and nothing that the text does not bear out is believed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from secrets import token_hex
from typing import Any

from reconciler.clock import parse_timestamp
from reconciler.errors import PlanFileError
from reconciler.model.desired import FileDigest
from reconciler.model.diagnostic import Diagnostic, Position, Severity
from reconciler.model.idset import IdSet
from reconciler.model.plan import (
    FORMAT_VERSION,
    Action,
    ActionKind,
    ActionSource,
    Cost,
    IndexPlan,
    Plan,
    PrefixPlan,
    StateRef,
    Summary,
)
from reconciler.model.target import Target
from reconciler.planfile.extraction import MAX_ID_BYTES, NotPlain, extract
from reconciler.resources import schema

#: This major version; a higher minor one only adds keys.
_KNOWN_VERSIONS = rf"{FORMAT_VERSION.partition('.')[0]}\.[0-9]{{1,6}}"

Json = dict[str, Any]


@dataclass(frozen=True)
class SavedPlan:
    """A plan that was read from a file, and how it was made.

    Attributes:
        created_at: to the millisecond.
        paths: the PATHS it was planned for; none = those of the configuration.
        only: the one index it covers, None for all.
        sha256: of the file that it was read from, in hex; "" when it was read from none.
        expires_at: from then on it is not begun any more; None = it does not expire. Not covered by the
            fingerprint: it keeps a file that was forgotten from being used, not one that somebody edits, who
            could as well plan again.
    """

    plan: Plan
    tool_version: str
    created_at: datetime
    paths: tuple[str, ...] = ()
    only: str | None = None
    expires_at: datetime | None = None
    sha256: str = field(default="", compare=False)


def decode(data: bytes, *, path: str) -> SavedPlan:
    """The plan in `data`, equal to the one that was encoded.

    Args:
        data: the bytes of a plan file. Untrusted.
        path: how messages name the file.

    Raises:
        PlanFileError: it is no plan that this version can use; the message names the file and the place.
    """
    try:
        return _decoded(data, (), "")
    except _Unusable as problem:
        raise PlanFileError(f"{path}: {problem}", hint=problem.hint) from None


def decode_lines(lines: Iterable[bytes]) -> SavedPlan | None:
    """As `decode`, without ever holding the text. None: only `decode` can say what is wrong with it, if anything.

    Args:
        lines: of the plan file, with their ends. Untrusted.
    """
    mark = token_hex(16)
    try:
        text, extracted = extract(lines, mark)
        return _decoded(text, extracted, mark)
    except (NotPlain, _Unusable):
        return None


def _decoded(data: bytes, extracted: Sequence[IdSet], mark: str) -> SavedPlan:
    document = _parse(data)
    _check_version(document)
    taken = _take_ids(document, extracted, mark)
    _check_structure(document)
    return _saved_plan(document, taken)


class _Unusable(Exception):
    """What is wrong with a plan file, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def _parse(data: bytes) -> dict[str, Any]:
    if not data.strip():
        raise _Unusable("the file is empty, not a plan", "Was it cut short? Make it again with plan --out.")
    if data.startswith(b'{"v":') and b'"prev":' in data[:100]:
        raise _Unusable("this is a state, not a plan file", "Give the state with --state, and the plan file here.")
    try:
        document = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except UnicodeDecodeError as problem:
        raise _Unusable(f"not UTF-8 at byte {problem.start:,}, not a plan file") from None
    except json.JSONDecodeError as problem:
        raise _Unusable(f"line {problem.lineno}, column {problem.colno}: not JSON: {problem.msg}") from None
    except RecursionError:
        raise _Unusable("nested too deeply to be a plan") from None
    except ValueError as problem:  # an integer of more digits than Python converts
        raise _Unusable(f"not a plan file: {problem}") from None
    if not isinstance(document, dict):
        raise _Unusable("not a plan file: a plan is a JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _Unusable(f"the key {twice[:80]!r} is given twice in one object")
    return made


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise _Unusable(f"{text[:40]} is not a number that a plan may hold")
    return number


def _check_version(document: dict[str, Any]) -> None:
    version = document.get("format_version")
    if not isinstance(version, str):
        raise _Unusable(
            "format_version is missing: not a plan file", "Make one with `reconciler plan --out FILE`."
        )
    if re.fullmatch(_KNOWN_VERSIONS, version) is None:
        raise _Unusable(
            f"plan format {version[:20]!r} is not known to this version, which reads {FORMAT_VERSION}",
            "Make the plan again with this version, or use the version that made it.",
        )


def _take_ids(
    document: dict[str, Any], extracted: Sequence[IdSet], mark: str
) -> dict[tuple[int, int], list[Any] | IdSet]:
    """Move the lists of ids out of the document: the schema's validator would take minutes over a million.

    Args:
        document: as it was parsed.
        extracted: lists that were taken out before that.
        mark: of what stands in for them; "" when none were.

    Returns:
        the lists by number of the index and of the action; an empty list stands in for each.
    """
    taken: dict[tuple[int, int], list[Any] | IdSet] = {}
    for number, index in enumerate(_list(document.get("indexes"))):
        for place, action in enumerate(_list(index.get("actions") if isinstance(index, dict) else None)):
            if isinstance(action, dict) and isinstance(action.get("ids"), list):
                ids = action["ids"]
                marked = bool(mark) and len(ids) == 1 and isinstance(ids[0], list) and ids[0][:1] == [mark]
                taken[number, place] = extracted[ids[0][1]] if marked else ids
                action["ids"] = []
    return taken


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _check_structure(document: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 80 ms of import that only reading a plan needs

    problem = next(Draft202012Validator(schema("plan")).iter_errors(document), None)
    if problem is not None:
        place = problem.json_path.removeprefix("$").removeprefix(".") or "the document"
        # The validator quotes the whole value it complains of.
        said = (
            problem.message
            if len(problem.message) <= 200
            else f"{problem.message[:100]} … {problem.message[-90:]}"
        )
        raise _Unusable(f"{place}: {said}")


def _saved_plan(document: Json, taken: Mapping[tuple[int, int], list[Any] | IdSet]) -> SavedPlan:
    indexes = tuple(
        _index(each, number, [taken[number, place] for place in range(len(each["actions"]))])
        for number, each in enumerate(document["indexes"])
    )
    state = document["state"]
    plan = Plan(
        fingerprint=document["fingerprint"],
        state=StateRef(state["lineage"], int(state["position"]), state["head"]),
        files=tuple(FileDigest(each["path"], each["sha256"]) for each in document["manifests"]),
        observed=document["observed"],
        complete=document["complete"],
        summary=_summary(document["summary"]),
        indexes=indexes,
        diagnostics=tuple(_diagnostic(each) for each in document["diagnostics"]),
        least_seconds=document["least_seconds"],
        cost=Cost(**{name: document["cost"][name] for name in Cost.__slots__}) if "cost" in document else Cost(),
        limits=document["limits"],
        unresolved_prefixes=any(prefix.count is None for index in indexes for prefix in index.prefixes),
        unrecorded=int(document.get("unrecorded", 0)),
    )
    _check_whole(plan, document)
    return SavedPlan(
        plan,
        document["tool_version"],
        _moment(document, "created_at"),
        tuple(document["paths"]),
        document["only"],
        _moment(document, "expires_at") if "expires_at" in document else None,
    )


def _moment(document: Json, name: str) -> datetime:
    try:
        return parse_timestamp(document[name]).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Unusable(f"{name}: not a date and time with a zone") from None


def _check_whole(plan: Plan, document: Json) -> None:
    """A file edited by hand, or by an attacker, must not show a reviewer other numbers than it holds."""
    targets = Counter(index.target for index in plan.indexes)
    for target, count in targets.items():
        if count > 1:
            raise _Unusable(f"indexes: {target} is there {count} times")
    if plan.summary != Summary.total(index.summary for index in plan.indexes):
        raise _Unusable("summary: not the sum of its indexes' summaries", _ALTERED)
    for name, derived in (("errored", plan.errored), ("applyable", plan.applyable)):
        if document[name] is not derived:
            raise _Unusable(f"{name}: says {document[name]}, but what the plan holds says {derived}", _ALTERED)
    if plan.complete and plan.unresolved_prefixes:
        raise _Unusable("complete: says True, but a prefix was never listed", _ALTERED)


_ALTERED = "The file was altered after it was made. Make it again with `reconciler plan --out FILE`."


def _index(raw: Json, number: int, ids: Sequence[list[Any] | IdSet]) -> IndexPlan:
    where = f"indexes[{number}]"
    _check_name(raw["index"], f"{where}.index")
    actions = tuple(
        _action(each, ids[place], f"{where}.actions[{place}]") for place, each in enumerate(raw["actions"])
    )
    summary = _summary(raw["summary"])
    counts: Counter[ActionKind] = Counter()
    for action in actions:
        counts[action.kind] += len(action.ids)
    for kind in ActionKind:
        # Unchanged ids are counted in the plan and not listed.
        if kind is not ActionKind.UNCHANGED and summary.of(kind) != counts[kind]:
            said = f"says {summary.of(kind):,}, but the actions hold {counts[kind]:,}"
            raise _Unusable(f"{where}.summary.{kind.value}: {said}", _ALTERED)
    if len(IdSet.union(action.ids for action in actions)) != counts.total():
        raise _Unusable(f"{where}.actions: an id stands in two actions", _ALTERED)
    if raw["percent"] is not None and raw["live_count"] is None:
        raise _Unusable(f"{where}.percent: of how many vectors is not said", _ALTERED)
    return IndexPlan(
        target=Target(raw["origin"], raw["account_id"], raw["index"]),
        created_on=raw["created_on"],
        summary=summary,
        actions=actions,
        prefixes=tuple(
            PrefixPlan(each["text"], each["path"], int(each["line"]), _integer(each["count"]), each["digest"])
            for each in raw["prefixes"]
        ),
        live_count=_integer(raw["live_count"]),
        percent=raw["percent"],
        kept=int(raw["kept"]),
        observed_created_on=raw["observed_created_on"],
        read_by=raw.get("read_by", ""),
        read_requests=int(raw.get("read_requests", 0)),
    )


def _action(raw: Json, ids: list[Any] | IdSet, where: str) -> Action:
    kind = ActionKind(raw["action"])
    if kind is ActionKind.UNCHANGED:
        raise _Unusable(f"{where}.action: unchanged ids are counted, not listed")
    sources = tuple(ActionSource(s["path"], int(s["line"]), s["reason"]) for s in raw["sources"])
    held = ids if isinstance(ids, IdSet) else _ids(ids, f"{where}.ids")
    return Action(kind, raw["reason"], sources, held)


def _ids(ids: list[Any], where: str) -> IdSet:
    """The ids, checked in bulk; which of them is wrong is looked for only when one is."""
    try:
        sizes = set(map(len, map(str.encode, ids)))
        made = IdSet.of(ids)
    except (TypeError, UnicodeEncodeError):
        sizes, made = {0}, IdSet()
    if sizes and not (min(sizes) >= 1 and max(sizes) <= MAX_ID_BYTES):
        for place, each in enumerate(ids):
            _check_name(each, f"{where}[{place}]")
    if len(made) != len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise _Unusable(f"{where}: {twice!r} is there twice")
    return made


def _check_name(name: Any, where: str) -> None:
    if not isinstance(name, str):
        raise _Unusable(f"{where}: not a string")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise _Unusable(f"{where}: half of a surrogate pair, which UTF-8 does not know") from None
    if not 1 <= size <= MAX_ID_BYTES:
        raise _Unusable(f"{where}: {size:,} bytes of UTF-8, must be 1 to {MAX_ID_BYTES}")


def _summary(raw: Json) -> Summary:
    return Summary(**{name: int(raw[name]) for name in Summary._fields})


def _diagnostic(raw: Json) -> Diagnostic:
    return Diagnostic(
        Severity(raw["severity"]),
        raw["code"],
        raw["summary"],
        raw["detail"],
        None if raw["path"] is None else _position(raw),
        tuple(_position(each) for each in raw["related"]),
    )


def _position(raw: Json) -> Position:
    return Position(raw["path"], int(raw["line"]), int(raw["column"]))


def _integer(value: float | None) -> int | None:
    """JSON Schema takes 12.0 for an integer."""
    return None if value is None else int(value)

"""The events of the log: what a frame can say. Each is one JSON object with a `kind`.

Fields may be added; readers ignore what they do not know. A kind that this version does not know is kept
as `Unknown`: such a log can be read, not written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar

from reconciler.state.fields import FITS

#: Numbers of batches as inclusive ranges: [[1, 40], [42, 42]].
Ranges = Sequence[Sequence[int]]

#: Which declarations the ids of an event come from, as runs along `ids`: [[[1], 60], [[1, 2], 40]].
DeclarationRuns = Sequence[Sequence[Any]]

#: A day, YYYY-MM-DD; None: for ever.
Until = str | None

#: Where a declaration has its ids from: kind, path, column, how many, and their digest (`model.desired.Source`).
Sources = Sequence[Mapping[str, Any]]

#: The prefixes of a declaration: text, and, when it was listed, how many ids it matched, and their digest.
Prefixes = Sequence[Mapping[str, Any]]

#: Exactly which ids a declaration names: {"count": 3, "digest": "…"} (`IdSet.digest`). {}: not recorded.
Names = Mapping[str, Any]

#: Ids that the log has already: those of `batches` (whatever became of them) without `except_ids`, `ids`, and all
#: that other `declarations` name. Each of the four may be left out.
Held = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Header:
    """The first event of a log."""

    kind: ClassVar[str] = "header"
    lineage: str
    format: int = 1
    id_scheme: str = "plain"


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """A target gets its number, or its pin. A new number for a known index: it was re-created."""

    kind: ClassVar[str] = "target"
    target: int
    origin: str
    account_id: str
    index: str
    created_on: str | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """A declaration as it is applied. A change of what it says or names gets a new number.

    `names`: all that it names, its prefixes resolved and what keeps protect cut out. `held`: those that the log
    had before; the others are in intents and reads that bear this number.
    """

    kind: ClassVar[str] = "declared"
    declaration: int
    target: int
    manifest: str
    line: int
    ordinal: int
    reason: str
    until: Until = None
    sources: Sources = ()
    prefixes: Prefixes = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    names: Names = field(default_factory=dict)
    held: Held = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run takes the state.

    `lease`: seconds it holds after each of its frames; `job`: address of the CI job; `guard`: which lock of
    the machine it holds while it lives ("" when none): see `interface.RunGuard`.
    """

    kind: ClassVar[str] = "run_started"
    command: str
    origin: str
    actor: str = ""
    host: str = ""
    boot_id: str = ""
    pid: int = 0
    job: str = ""
    fingerprint: str = ""
    lease: float = 300.0
    tool_version: str = ""
    guard: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """These ids are about to be sent. Durable before the request leaves.

    `attempt`: the first try it covers.
    """

    kind: ClassVar[str] = "intent"
    batch: int
    target: int
    declarations: DeclarationRuns
    ids: Sequence[str]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Accepted:
    """The service gave a mutation id."""

    kind: ClassVar[str] = "accepted"
    batch: int
    mutation_id: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt ended without a mutation id.

    `outcome`: "rejected" (nothing was deleted) or "unknown" (it may have been). `final`: no further attempt
    follows in this run.
    """

    kind: ClassVar[str] = "failed"
    batch: int
    attempt: int
    outcome: str
    final: bool
    code: int | None = None
    status: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Processed:
    """The pointer shows that these batches are applied.

    `requests`: reads made since the last frame that said so.
    """

    kind: ClassVar[str] = "processed"
    target: int
    batches: Ranges
    pointer: str
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Verified:
    """A read found these ids missing.

    The ids are those whose last batch is one of `batches`, without `except_ids`, and `ids` besides. `how`:
    "get_by_ids" or "list", with "; pointer not seen" where the 120 s fallback was used. `declarations`: runs
    along `ids`, for ids that were never sent because they were absent already.
    """

    kind: ClassVar[str] = "verified"
    target: int
    how: str
    batches: Ranges = ()
    except_ids: Sequence[str] = ()
    ids: Sequence[str] = ()
    declarations: DeclarationRuns = ()
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Reappeared:
    """A read found these ids present that should be gone. `declarations`: as in Verified."""

    kind: ClassVar[str] = "reappeared"
    target: int
    ids: Sequence[str]
    declarations: DeclarationRuns = ()
    how: str = ""
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Released:
    """These ids are no longer declared. Named as in Verified. `reason`: "undeclared" or "lapsed"."""

    kind: ClassVar[str] = "released"
    target: int
    reason: str
    batches: Ranges = ()
    except_ids: Sequence[str] = ()
    ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """The run is alive."""

    kind: ClassVar[str] = "lease_renewed"
    requests: int = 0


@dataclass(frozen=True, slots=True)
class LimitsIgnored:
    """A person at a prompt let a plan pass its limits. `limits`: which, as the refusal said it, a line each."""

    kind: ClassVar[str] = "limits_ignored"
    who: str
    why: str
    limits: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run lets go of the state. `outcome`: "done", "failed", "interrupted", "not-settled" and the like."""

    kind: ClassVar[str] = "run_finished"
    outcome: str
    counts: Mapping[str, int] = field(default_factory=dict)
    requests: int = 0


@dataclass(frozen=True, slots=True)
class RunFenced:
    """The run `fenced` was taken over."""

    kind: ClassVar[str] = "run_fenced"
    fenced: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """A torn tail was put aside in the file `path`: `size` bytes, `sha256` hex."""

    kind: ClassVar[str] = "recovered"
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Moved:
    """From here on the log lives in the store `to` (a URL without credentials)."""

    kind: ClassVar[str] = "moved"
    to: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a kind that this version does not know, as it stands."""

    kind: ClassVar[str] = "unknown"
    document: Mapping[str, Any]


Event = (
    Header
    | TargetSeen
    | Declared
    | RunStarted
    | Intent
    | Accepted
    | Failed
    | Processed
    | Verified
    | Reappeared
    | Released
    | LeaseRenewed
    | LimitsIgnored
    | RunFinished
    | RunFenced
    | Recovered
    | Moved
    | Unknown
)

KINDS: dict[str, type[Any]] = {
    cls.kind: cls
    for cls in (
        Header,
        TargetSeen,
        Declared,
        RunStarted,
        Intent,
        Accepted,
        Failed,
        Processed,
        Verified,
        Reappeared,
        Released,
        LeaseRenewed,
        LimitsIgnored,
        RunFinished,
        RunFenced,
        Recovered,
        Moved,
    )
}


#: Names of fields, and what each may hold.
_Checks = tuple[tuple[str, Callable[[Any], bool]], ...]


def _checks(cls: type[Any], *, optional: bool) -> _Checks:
    """Of those fields of an event that may, or may not, be left out."""
    return tuple(
        (f.name, FITS[str(f.type)])
        for f in fields(cls)
        if optional == (f.default is not MISSING or f.default_factory is not MISSING)
    )


#: For each kind: its class, the fields it must have, and those it may have.
_SHAPES: dict[str, tuple[type[Any], _Checks, _Checks]] = {
    kind: (cls, _checks(cls, optional=False), _checks(cls, optional=True)) for kind, cls in KINDS.items()
}


def encode(event: Event) -> dict[str, Any]:
    """The event as a JSON object; `kind` first, fields that hold their default left out.

    What opens a log or a run is written whole: it is read by people, and by programs, for years.
    """
    if isinstance(event, Unknown):
        return dict(event.document)
    document: dict[str, Any] = {"kind": event.kind}
    whole = isinstance(event, Header | RunStarted)
    for each in fields(event):
        value = getattr(event, each.name)
        if whole:
            document[each.name] = value
            continue
        if each.default is not MISSING and (value == each.default or (each.default == () and not value)):
            continue
        if each.default_factory is not MISSING and not value:
            continue
        document[each.name] = value
    if isinstance(event, Failed) and event.message:
        # The service's own words. Half a surrogate pair in them must not cost the record of the outcome.
        document["message"] = event.message.encode("utf-8", "replace").decode()
    return document


def decode(document: Mapping[str, Any]) -> Event:
    """The inverse of `encode`.

    Raises:
        ValueError: a known kind without one of its required fields, or with a field of another type.
    """
    kind = document.get("kind")
    if not isinstance(kind, str):
        raise ValueError(f"an event whose kind is {kind!r}")  # noqa: TRY004 - callers know one exception for bad input
    shape = _SHAPES.get(kind)
    if shape is None:
        return Unknown(document)
    cls, required, optional = shape
    values = {}
    for name, fits in required:
        if name not in document:
            raise ValueError(f"event {kind!r} has no {name!r}")
        value = values[name] = document[name]
        if not fits(value):
            raise ValueError(f"event {kind!r}: {name!r} does not hold what it should")
    if len(document) > len(values) + 1:
        for name, fits in optional:
            if name in document:
                value = values[name] = document[name]
                if not fits(value):
                    raise ValueError(f"event {kind!r}: {name!r} does not hold what it should")
    event: Event = cls(**values)
    return event

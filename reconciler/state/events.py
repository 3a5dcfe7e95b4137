"""The events of the log: what a frame can say. Each is one JSON object with a `kind`.

Fields may be added; readers ignore what they do not know. A kind that this version does not know is kept
as `Unknown`: such a log can be read, not written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, get_args

from msgspec import NODEFAULT, Meta, Struct, ValidationError, convert, field
from msgspec.structs import FieldInfo, fields

from reconciler.state.fields import FITS

#: Never empty.
Text = Annotated[str, Meta(min_length=1)]
Ids = Sequence[Text]

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


class Known(Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """An event of a kind that this version knows."""

    @property
    def kind(self) -> str:
        """Its name in the log."""
        return str(self.__struct_config__.tag)


class Header(Known, frozen=True, tag="header"):
    """The first event of a log."""

    lineage: str
    format: int = 1
    id_scheme: str = "plain"


class TargetSeen(Known, frozen=True, tag="target"):
    """A target gets its number, or its pin. A new number for a known index: it was re-created."""

    target: int
    origin: str
    account_id: str
    index: str
    created_on: str | None = None


class Declared(Known, frozen=True, tag="declared"):
    """A declaration as it is applied. A change of what it says or names gets a new number.

    `names`: all that it names, its prefixes resolved and what keeps protect cut out. `held`: those that the log
    had before; the others are in intents and reads that bear this number.
    """

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


class RunStarted(Known, frozen=True, tag="run_started"):
    """A run takes the state.

    `lease`: seconds it holds after each of its frames; `job`: address of the CI job; `guard`: which lock of
    the machine it holds while it lives ("" when none): see `interface.RunGuard`.
    """

    command: str
    origin: str
    actor: str = ""
    host: str = ""
    boot_id: str = ""
    pid: int = 0
    job: str = ""
    fingerprint: str = ""
    lease: int | float = 300.0
    tool_version: str = ""
    guard: str = ""


class Intent(Known, frozen=True, tag="intent"):
    """These ids are about to be sent. Durable before the request leaves.

    `attempt`: the first try it covers.
    """

    batch: int
    target: int
    declarations: DeclarationRuns
    ids: Ids
    attempt: int = 1


class Accepted(Known, frozen=True, tag="accepted"):
    """The service gave a mutation id."""

    batch: int
    mutation_id: str
    attempt: int = 1


class Failed(Known, frozen=True, tag="failed"):
    """An attempt ended without a mutation id.

    `outcome`: "rejected" (nothing was deleted) or "unknown" (it may have been). `final`: no further attempt
    follows in this run.
    """

    batch: int
    attempt: int
    outcome: str
    final: bool
    code: int | None = None
    status: int | None = None
    message: str = ""


class Processed(Known, frozen=True, tag="processed"):
    """The pointer shows that these batches are applied.

    `requests`: reads made since the last frame that said so.
    """

    target: int
    batches: Ranges
    pointer: str
    requests: int = 0


class Verified(Known, frozen=True, tag="verified"):
    """A read found these ids missing.

    The ids are those whose last batch is one of `batches`, without `except_ids`, and `ids` besides. `how`:
    "get_by_ids" or "list", with "; pointer not seen" where the 120 s fallback was used. `declarations`: runs
    along `ids`, for ids that were never sent because they were absent already.
    """

    target: int
    how: str
    batches: Ranges = ()
    except_ids: Ids = ()
    ids: Ids = ()
    declarations: DeclarationRuns = ()
    requests: int = 0


class Reappeared(Known, frozen=True, tag="reappeared"):
    """A read found these ids present that should be gone. `declarations`: as in Verified."""

    target: int
    ids: Ids
    declarations: DeclarationRuns = ()
    how: str = ""
    requests: int = 0


class Released(Known, frozen=True, tag="released"):
    """These ids are no longer declared. Named as in Verified. `reason`: "undeclared" or "lapsed"."""

    target: int
    reason: str
    batches: Ranges = ()
    except_ids: Ids = ()
    ids: Ids = ()


class LeaseRenewed(Known, frozen=True, tag="lease_renewed"):
    """The run is alive."""

    requests: int = 0


class LimitsIgnored(Known, frozen=True, tag="limits_ignored"):
    """A person at a prompt let a plan pass its limits. `limits`: which, as the refusal said it, a line each."""

    who: str
    why: str
    limits: Sequence[Text] = ()


class RunFinished(Known, frozen=True, tag="run_finished"):
    """The run lets go of the state. `outcome`: "done", "failed", "interrupted", "not-settled" and the like."""

    outcome: str
    counts: Mapping[str, int] = field(default_factory=dict)
    requests: int = 0


class RunFenced(Known, frozen=True, tag="run_fenced"):
    """The run `fenced` was taken over."""

    fenced: str
    by: str
    reason: str


class Recovered(Known, frozen=True, tag="recovered"):
    """A torn tail was put aside in the file `path`: `size` bytes, `sha256` hex."""

    path: str
    size: int
    sha256: str


class Moved(Known, frozen=True, tag="moved"):
    """From here on the log lives in the store `to` (a URL without credentials)."""

    to: str


class Unknown(Struct, frozen=True):
    """An event of a kind that this version does not know, as it stands."""

    document: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What it is called where kinds are told; its own name for itself is in `document`."""
        return "unknown"


#: What holds no fractions, which can be written in several ways.
Plain = (
    Header
    | TargetSeen
    | Declared
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
)

Event = Plain | RunStarted | Unknown

KINDS: Final[dict[str, type[Any]]] = {cls.__struct_config__.tag: cls for cls in get_args(Plain | RunStarted)}

#: What the types of the fields of an event do not say: names of fields, and what each may hold.
_FURTHER: Final = {
    cls: tuple((name, FITS[kind]) for name, kind in cls.__annotations__.items() if kind in FITS)
    for cls in KINDS.values()
}


def _default(each: FieldInfo) -> Any:
    return each.default if each.default_factory is NODEFAULT else each.default_factory()


#: The fields of each event with their defaults; NODEFAULT where there is none.
_DEFAULTS: Final = {cls: tuple((each.name, _default(each)) for each in fields(cls)) for cls in KINDS.values()}


def encode(event: Event) -> dict[str, Any]:
    """The event as a JSON object; `kind` first, fields that hold their default left out.

    What opens a log or a run is written whole: it is read by people, and by programs, for years.
    """
    if isinstance(event, Unknown):
        return dict(event.document)
    document: dict[str, Any] = {"kind": event.kind}
    whole = isinstance(event, Header | RunStarted)
    for name, default in _DEFAULTS[type(event)]:
        value = getattr(event, name)
        if whole or not (value == default or (default in ((), {}) and not value)):
            document[name] = value
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
    cls = KINDS.get(kind)
    if cls is None:
        return Unknown(document)
    try:
        event: Event = convert(document, cls)
    except ValidationError as error:
        raise ValueError(f"event {kind!r}: {error}") from error
    check(event)
    return event


def check(event: Event) -> None:
    """Do its fields hold what their types alone do not ask for?

    Raises:
        ValueError: one does not.
    """
    for name, fits in _FURTHER.get(type(event), ()):
        if not fits(getattr(event, name)):
            raise ValueError(f"event {event.kind!r}: {name!r} does not hold what it should")

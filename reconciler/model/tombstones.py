"""What the state remembers, as values: targets, batches, declarations, runs, and every id's status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

from reconciler.clock import parse_timestamp
from reconciler.model.batches import BatchRecord
from reconciler.model.desired import declaration_document
from reconciler.model.idset import IdSet
from reconciler.model.status import REJECTED, Status
from reconciler.model.target import Target

__all__ = [
    "REJECTED",
    "BatchRecord",
    "DeclarationRecord",
    "Held",
    "IgnoredLimits",
    "Names",
    "PrefixPromise",
    "Projection",
    "RunRecord",
    "Status",
    "TargetRecord",
    "place",
]


@dataclass(frozen=True, slots=True)
class Names:
    """How many ids a declaration names, and the digest of exactly those."""

    count: int
    digest: str

    @classmethod
    def of(cls, ids: IdSet) -> Names:
        """Those of `ids`."""
        return cls(len(ids), ids.digest())

    def are(self, ids: IdSet) -> bool:
        """True when `ids` are exactly those named."""
        return len(ids) == self.count and ids.digest() == self.digest


@dataclass(frozen=True, slots=True)
class Held:
    """Ids that the log had when a declaration was recorded.

    Attributes:
        batches: inclusive ranges of numbers: all ids of these, but `except_ids`.
        ids: those named singly.
        declarations: all that these name.
    """

    batches: tuple[tuple[int, int], ...] = ()
    except_ids: IdSet = field(default_factory=IdSet)
    ids: IdSet = field(default_factory=IdSet)
    declarations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DeclarationRecord:
    """A declaration as it was when last applied. `number` is unique in the log; a change gets a new number.

    Attributes:
        names: all that it names, its prefixes resolved; None where the log does not say.
        held: those of them that were in the log before; see `accounts`.
    """

    number: int
    target: int
    manifest: str
    line: int
    ordinal: int
    reason: str
    until: str | None
    sources: tuple[Mapping[str, Any], ...]
    prefixes: tuple[Mapping[str, Any], ...]
    limits: Mapping[str, Any]
    at: str
    names: Names | None = None
    held: Held = Held()

    def document(self) -> dict[str, Any]:
        """What people compare: see `declaration_document`."""
        prefixes = [str(prefix["text"]) for prefix in self.prefixes]
        return declaration_document(self.reason, self.until, self.sources, prefixes)


@dataclass(frozen=True)
class TargetRecord:
    """One target of the log.

    Attributes:
        created_on: the pin, as the service gave it; None until it was seen.
        closed: the index was re-created since: these tombstones are history.
        batches: in order of the log.
        by_status: the ids of each status; an id has exactly one, that of the last batch or event naming it.
        by_declaration: (numbers of declarations, ids) of every id that is not released.
        releases: (RFC 3339, ids) of everything that was ever released, in order of the log.
    """

    number: int
    target: Target
    created_on: str | None = None
    closed: bool = False
    batches: Sequence[BatchRecord] = ()
    by_status: Mapping[Status, IdSet] = field(default_factory=dict)
    by_declaration: tuple[tuple[tuple[int, ...], IdSet], ...] = ()
    releases: tuple[tuple[str, IdSet], ...] = ()

    def ids(self, *statuses: Status) -> IdSet:
        """The ids that have one of `statuses`."""
        return IdSet.union(self.by_status.get(status, IdSet()) for status in statuses)

    def released_since(self, moment: datetime) -> IdSet:
        """The released ids that were released at `moment` or later."""
        recent = IdSet.union(ids for at, ids in self.releases if parse_timestamp(at) >= moment)
        return recent & self.ids(Status.RELEASED)


@dataclass(frozen=True, slots=True)
class PrefixPromise:
    """No id of the index begins with `text`, but what a keep protects: promised when it was listed.

    Attributes:
        declaration: number of the record that promises it.
        kept_prefixes, kept_ids: what keeps protected then.
    """

    declaration: int
    text: str
    kept_prefixes: tuple[str, ...] = ()
    kept_ids: IdSet = field(default_factory=IdSet)

    def broken_by(self, ids: IdSet) -> IdSet:
        """Those of `ids` that should not be there."""
        matched = ids.starting_with(self.text) - self.kept_ids
        return matched - IdSet.union(matched.starting_with(prefix) for prefix in self.kept_prefixes)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of the log: who held the state, where, since when, until when, for what.

    Attributes:
        started: position of its first frame.
        start_head: hash of the frame before its first: where its plan was checked.
        lease_seconds: how long it holds the state after its last frame.
        last_frame_at: RFC 3339.
        outcome: as `run_finished` says; None while it is open; "fenced" when taken over.
        fenced_by: the run that took over, or the person who said `state unlock`.
    """

    run: str
    command: str
    actor: str
    host: str
    boot_id: str
    pid: int
    job: str
    fingerprint: str
    started: int
    started_at: str
    lease_seconds: float
    last_frame_at: str
    last_frame: int
    outcome: str | None = None
    start_head: str = ""
    fenced_by: str = ""


@dataclass(frozen=True, slots=True)
class IgnoredLimits:
    """A person let the plan of a run pass its limits.

    Attributes:
        run: which run.
        at: RFC 3339.
        who: as the machine knows them.
        why: in their words.
        limits: what was passed over, a line each.
    """

    run: str
    at: str
    who: str
    why: str
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Projection:
    """The state, folded. Empty (`lineage` "") when there is none.

    Attributes:
        position: of the last frame; 0 when there is none.
        head: hash of the last frame; 64 zeros when there is none.
        origin: the API origin the log is pinned to; None before its first run.
        targets: by number.
        declarations: by number.
        runs: in order of the log.
        unknown_kinds: kinds of events that this version does not know: such a log is not written.
        moved_to: the store this log was moved to; None while it lives here.
        next_batch: the next free batch number.
        requests: (RFC 3339, requests made) of the frames, newest last, for the budget; only the tail is kept.
        limits_ignored: in order of the log.
    """

    lineage: str = ""
    position: int = 0
    head: str = "0" * 64
    origin: str | None = None
    targets: Mapping[int, TargetRecord] = field(default_factory=dict)
    declarations: Mapping[int, DeclarationRecord] = field(default_factory=dict)
    runs: tuple[RunRecord, ...] = ()
    unknown_kinds: tuple[str, ...] = ()
    moved_to: str | None = None
    next_batch: int = 1
    requests: tuple[tuple[str, int], ...] = ()
    limits_ignored: tuple[IgnoredLimits, ...] = ()

    @property
    def open_run(self) -> RunRecord | None:
        """The run that holds the state, None when it is free."""
        return self.runs[-1] if self.runs and self.runs[-1].outcome is None else None

    def live(self, target: Target) -> TargetRecord | None:
        """The record of `target` that is not closed; None when the state does not know it."""
        return self._live.get(target)

    def declared(self, target: int) -> tuple[DeclarationRecord, ...]:
        """The declarations recorded for the target of this number, in order of the log."""
        return self._declared.get(target, ())

    def promises(self, record: TargetRecord, today: date) -> tuple[PrefixPromise, ...]:
        """The prefixes that are still promised to match nothing, as last declared.

        A promise ends with its `until`, and when everything that came from its declaration is released.
        """
        newest = {(each.manifest, each.ordinal): each for each in self.declared(record.number)}
        alive = (self.declarations[n] for numbers, _ in record.by_declaration for n in numbers)
        places = {(each.manifest, each.ordinal) for each in alive}
        found = []
        for place, each in newest.items():
            lapsed = each.until is not None and date.fromisoformat(each.until) <= today
            for prefix in each.prefixes:
                if lapsed or (prefix.get("count") and place not in places):
                    continue
                kept = prefix.get("keeps") or {}
                promise = PrefixPromise(
                    each.number,
                    str(prefix["text"]),
                    tuple(map(str, kept.get("prefixes", ()))),
                    IdSet.of(map(str, kept.get("ids", ()))),
                )
                found.append(promise)
        return tuple(found)

    @cached_property
    def _declared(self) -> dict[int, tuple[DeclarationRecord, ...]]:
        found: dict[int, list[DeclarationRecord]] = {}
        for record in self.declarations.values():
            found.setdefault(record.target, []).append(record)
        return {target: tuple(records) for target, records in found.items()}

    @cached_property
    def _live(self) -> dict[Target, TargetRecord]:
        return {record.target: record for record in self.targets.values() if not record.closed}


def place(position: int, event: int) -> int:
    """One number for the `event`-th event (from 0) of frame `position`: it grows along the log."""
    return position * 1_000_000 + event

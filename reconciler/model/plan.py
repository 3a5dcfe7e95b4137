"""A plan: what would be done to which ids, why, and at what cost. A value; nothing here does anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from reconciler.model.desired import FileDigest
from reconciler.model.diagnostic import Diagnostic, has_errors, has_refusals
from reconciler.model.idset import IdSet
from reconciler.model.target import Target

FORMAT_VERSION = "1.0"


class ActionKind(StrEnum):
    """What happens to the ids of an action."""

    DELETE = "delete"
    RESEND = "resend"
    REAPPEARED = "reappeared"
    CONFIRM = "confirm"
    ALREADY_ABSENT = "already_absent"
    RELEASE = "release"
    UNCHANGED = "unchanged"
    BLOCKED = "blocked"

    @property
    def symbol(self) -> str:
        """The one character that stands for it in every text."""
        return _SYMBOLS[self]

    @property
    def sends(self) -> bool:
        """True when its ids are sent to `delete_by_ids`."""
        return self in SENDING


_SYMBOLS = {
    ActionKind.DELETE: "-",
    ActionKind.RESEND: "?",
    ActionKind.REAPPEARED: "!",
    ActionKind.CONFIRM: "~",
    ActionKind.ALREADY_ABSENT: "o",
    ActionKind.RELEASE: ".",
    ActionKind.UNCHANGED: "=",
    ActionKind.BLOCKED: "x",
}

_ORDER = {kind: number for number, kind in enumerate(ActionKind)}

#: The kinds whose ids are sent, in the order in which they are sent.
SENDING = (ActionKind.DELETE, ActionKind.RESEND, ActionKind.REAPPEARED)

#: The kinds that `plan --detailed-exitcode` calls a change: anything to send, record or release.
CHANGING = (*SENDING, ActionKind.ALREADY_ABSENT, ActionKind.RELEASE)


class ActionSource(NamedTuple):
    """Where ids of an action were declared: a list or file, and the reason its declaration gives."""

    path: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Action:
    """Ids of one index that share kind, reason and sources.

    Attributes:
        kind: what happens.
        reason: why, in a stable word ("new", "declared-again", "outcome-unknown", …; see planner).
        sources: where the ids were declared; for a release, where they had been.
        ids: the ids.
    """

    kind: ActionKind
    reason: str
    sources: tuple[ActionSource, ...]
    ids: IdSet

    @property
    def sort_key(self) -> tuple[int, str, tuple[ActionSource, ...]]:
        """Order within an index: by kind, reason, sources."""
        return (_ORDER[self.kind], self.reason, self.sources)


class Summary(NamedTuple):
    """Counts of ids by kind; `requests` counts delete requests."""

    delete: int = 0
    resend: int = 0
    reappeared: int = 0
    confirm: int = 0
    already_absent: int = 0
    release: int = 0
    unchanged: int = 0
    blocked: int = 0
    requests: int = 0

    @property
    def sends(self) -> int:
        """Ids that would be sent."""
        return self.delete + self.resend + self.reappeared

    def of(self, kind: ActionKind) -> int:
        """The count of `kind`."""
        count: int = getattr(self, kind)
        return count

    def as_dict(self) -> dict[str, int]:
        """As it stands in a plan's JSON."""
        return self._asdict()

    @classmethod
    def total(cls, summaries: Iterable[Summary]) -> Summary:
        """Field by field."""
        return cls(*map(sum, zip(*summaries, strict=True)))


@dataclass(frozen=True, slots=True)
class PrefixPlan:
    """A declared prefix. `count` ids matched when it was last listed (None: it never was), `digest` is theirs."""

    text: str
    path: str
    line: int
    count: int | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """What a plan does to one index.

    Attributes:
        created_on: the pin in the state at the plan's position; None before it was first seen.
        actions: ordered by `Action.sort_key`; UNCHANGED ids are counted in `summary` and not listed here.
        prefixes: the declared prefixes.
        live_count: vectors in the index, None when not observed.
        percent: of the live vectors that would be deleted; None when not checked.
        kept: ids matched by a prefix that a keep cut out.
        observed_created_on: as read for this plan, when that is another index than the pinned one.
        read_by: how it was looked at ("list", "get_by_ids": whichever takes fewer requests), "" when it was not.
        read_requests: that the look took.
    """

    target: Target
    created_on: str | None
    summary: Summary
    actions: tuple[Action, ...]
    prefixes: tuple[PrefixPlan, ...] = ()
    live_count: int | None = None
    percent: float | None = None
    kept: int = 0
    observed_created_on: str | None = None
    read_by: str = ""
    read_requests: int = 0

    def ids(self, *kinds: ActionKind) -> IdSet:
        """The ids of all actions of `kinds`."""
        return IdSet.union(action.ids for action in self.actions if action.kind in kinds)

    @property
    def to_send(self) -> IdSet:
        """The ids to send to `delete_by_ids`."""
        return self.ids(*SENDING)

    @property
    def of_index(self) -> str | None:
        """When the index that this is for was created; None when nobody had seen it."""
        return self.observed_created_on or self.created_on

    def outlives(self, approved: IndexPlan | None) -> bool:
        """True when this sends ids to an index that was created again since `approved` was made for it."""
        sends = self.ids(*SENDING, ActionKind.ALREADY_ABSENT)  # a batch of the latter may be sent as a barrier
        meant = None if approved is None else approved.of_index
        return bool(sends) and meant is not None and self.of_index != meant


@dataclass(frozen=True, slots=True)
class Cost:
    """API requests that carrying out a plan takes, when nothing fails.

    Attributes:
        deletes: exact.
        proofs: reads; at most, where the index was not read and its size is not known.
        waiting: looks at the pointer, if the service takes its median time for each index.
        least_seconds: for all of them, under the budget.
    """

    deletes: int = 0
    proofs: int = 0
    waiting: int = 0
    least_seconds: float = 0.0

    @property
    def total(self) -> int:
        """All requests."""
        return self.deletes + self.proofs + self.waiting


@dataclass(frozen=True, slots=True)
class StateRef:
    """The state that a plan was made against. `position` 0 and `lineage` "" when there was none."""

    lineage: str
    position: int
    head: str


@dataclass(frozen=True)
class Plan:
    """Everything `apply` would do.

    Attributes:
        fingerprint: "sha256:…", what an approval binds to (see planner).
        observed: the live index was read for it.
        complete: all prefixes resolved and no narrowing by --target.
        least_seconds: the least time its delete requests take under the budget.
        cost: all requests, those for its proof included.
        limits: those in force, by index name ("*": the whole plan), as JSON values.
        unrecorded: declarations that the state does not know as they are now; apply records them.
    """

    fingerprint: str
    state: StateRef
    files: tuple[FileDigest, ...]
    observed: bool
    complete: bool
    summary: Summary
    indexes: tuple[IndexPlan, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    least_seconds: float = 0.0
    cost: Cost = field(default_factory=Cost)
    limits: dict[str, dict[str, float]] = field(default_factory=dict)
    unresolved_prefixes: bool = False
    unrecorded: int = 0

    @cached_property
    def errored(self) -> bool:
        """An error diagnostic exists."""
        return has_errors(self.diagnostics)

    @cached_property
    def refused(self) -> bool:
        """A limit or a keep forbids it."""
        return has_refusals(self.diagnostics)

    @property
    def changes(self) -> bool:
        """Anything to send, record or release, or a prefix that was never listed."""
        return bool(self.unrecorded) or self.changes_ids

    @property
    def changes_ids(self) -> bool:
        """As `changes`, but for what is merely recorded: it is about ids, or a prefix that was never listed."""
        return self.unresolved_prefixes or any(self.summary.of(kind) for kind in CHANGING)

    @property
    def pending(self) -> bool:
        """Something waits for confirmation."""
        return bool(self.summary.confirm)

    @property
    def applyable(self) -> bool:
        """Neither errored nor refused, every prefix resolved, and something to do."""
        return not (self.errored or self.refused or self.unresolved_prefixes) and (self.changes or self.pending)

    def actions(self) -> Iterator[tuple[IndexPlan, Action]]:
        """Every action of every index, in order."""
        for index in self.indexes:
            for action in index.actions:
                yield index, action

"""What a report says of one declaration, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.model.tombstones import DeclarationRecord, Status
from reconciler.state.proofs import Proof

#: Statuses of ids that are neither proven absent nor history.
OPEN = (Status.UNRESOLVED, Status.ACCEPTED, Status.PROCESSED, Status.REAPPEARED)


@dataclass(frozen=True, slots=True)
class MutationReport:
    """One request that named ids of a declaration.

    Attributes:
        status: a Status, "rejected", or "processed" for one that left ids of the declaration unproven.
        ids: how many of the declaration's it named.
    """

    mutation_id: str | None
    status: str
    submitted_at: str
    accepted_at: str | None
    ids: int
    batch: int
    run: str


@dataclass(frozen=True, slots=True)
class ProvenReport:
    """The ids whose status is verified.

    Attributes:
        by_how: (how they were last read, how many ids).
        first_at: RFC 3339, of the first read that found one of them absent.
        complete_at: when the last of them had been found absent.
        last_at: of the newest read that did.
    """

    ids: int = 0
    by_how: tuple[tuple[str, int], ...] = ()
    first_at: str | None = None
    complete_at: str | None = None
    last_at: str | None = None


@dataclass(frozen=True, slots=True)
class BackReport:
    """Ids that are present again though they should be gone: with the same last proof, or with none.

    Attributes:
        proof: None: no read ever found them absent.
        seen_at: RFC 3339, of the read that found them present; None when the state does not say.
    """

    ids: IdSet
    proof: Proof | None
    seen_at: str | None


@dataclass(frozen=True)
class DeclarationReport:
    """What became of one declaration.

    Attributes:
        newest: as it was last applied.
        earlier: reasons it had before, where they differ, oldest first.
        target: the index.
        closed: the index was re-created since: history, never success.
        superseded: `closed`, and declared of the index that is there now.
        prefixes: (text, how many ids the last list of it found; None: it was never listed).
        ids: those it names now, as far as the state knows.
        shared: those of `ids` that were recorded for other declarations alone.
        by_status: `ids` by status.
        listed: how many ids its lists named when it was last applied.
        missing: how many ids of those it names have no record: they were not sent yet.
        released: how many ids it named once and names no more.
        never_sent: verified ids that were found absent already: there is no mutation for them.
        withdrawn: all that it named was released since it was last applied.
        known: it is known exactly what it names. Not so of most that an earlier version recorded: `missing` is an
            estimate then.
        unproven: how many ids that it names were released, though not found absent before, or present after that.
    """

    newest: DeclarationRecord
    earlier: tuple[str, ...]
    target: Target
    closed: bool
    superseded: bool
    prefixes: tuple[tuple[str, int | None], ...]
    ids: IdSet
    shared: IdSet
    by_status: Mapping[Status, IdSet]
    listed: int
    missing: int
    released: int
    never_sent: IdSet
    mutations: tuple[MutationReport, ...] = ()
    proven: ProvenReport = field(default_factory=ProvenReport)
    back: tuple[BackReport, ...] = ()
    withdrawn: bool = False
    known: bool = True
    unproven: int = 0

    @property
    def open(self) -> IdSet:
        """Ids that are not proven absent."""
        return IdSet.union(self.by_status.get(status, IdSet()) for status in OPEN)

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Prefixes that were never listed: nobody knows what they match."""
        return () if self.withdrawn else tuple(text for text, count in self.prefixes if count is None)

    @property
    def done(self) -> bool:
        """Every id that it names was found absent, in the index that is there now."""
        named = bool(self.ids) and self.known and not (self.missing or self.unlisted)
        return named and not (self.closed or self.open or self.unproven)

"""Everything the log says of one id: every request that named it, every answer, every read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import StateDamaged
from reconciler.model.target import Target
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.frames import Frame
from reconciler.state.journal import Journal
from reconciler.state.stores.interface import Store


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to an id.

    Attributes:
        position: of the frame.
        at: RFC 3339, of the frame.
        run: that wrote it.
        what: the kind of the event: intent, accepted, failed, processed, verified, reappeared, released.
        target: the index, as the log names it.
        batch: the batch that carried the id; None for an id that was never sent.
        mutation_id: of that batch, None while there is none.
        detail: what else the event says: attempt, outcome, code, how, reason, reasons (of the declarations).
    """

    position: int
    at: str
    run: str
    what: str
    target: Target
    batch: int | None = None
    mutation_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def history(log: Journal | Store, id_: str, target: Target | None = None) -> Iterator[HistoryEntry]:
    """The entries of `id_`, in order, verified and streamed from the log.

    Args:
        log: where to read, from its first byte.
        id_: the id, exact.
        target: only of this index; None: of every index that knows it.

    Raises:
        StateDamaged, StateTooNew, StoreUnavailable: as `Journal.load`.
    """
    store = log.store if isinstance(log, Journal) else log
    tracker = _Tracker(id_, target)
    for frame in walk(store.read(0)):
        yield from tracker.take(frame)


class _Tracker:
    """Which batches carry the id, and which of them was the last of its target."""

    def __init__(self, id_: str, only: Target | None) -> None:
        self._id = id_
        self._only = only
        self._targets: dict[int, Target] = {}
        self._reasons: dict[int, str] = {}
        self._batches: dict[int, int] = {}
        self._mutations: dict[int, str] = {}
        self._carriers: dict[int, list[int]] = {}
        self._doubtful: set[int] = set()

    def take(self, frame: Frame) -> Iterator[HistoryEntry]:
        for event in frame.events:
            if isinstance(event, ev.TargetSeen):
                self._targets[event.target] = Target(event.origin, event.account_id, event.index)
            elif isinstance(event, ev.Declared):
                self._reasons[event.declaration] = event.reason
            else:
                found = self._entry(frame, event)
                if found is not None and self._only in (None, found.target):
                    yield found

    def _entry(self, frame: Frame, event: ev.Event) -> HistoryEntry | None:
        detail: dict[str, Any]
        if isinstance(event, ev.Intent):
            if self._id not in event.ids:
                return None
            self._batches[event.batch] = event.target
            self._carriers.setdefault(event.target, []).append(event.batch)
            target, batch = event.target, event.batch
            detail = {"attempt": event.attempt, **self._declared(event.ids, event.declarations)}
        elif isinstance(event, ev.Accepted | ev.Failed):
            if event.batch not in self._batches:
                return None
            target, batch = self._batches[event.batch], event.batch
            detail = self._answered(event)
        elif isinstance(event, ev.Processed | ev.Verified | ev.Reappeared | ev.Released):
            named = self._id in getattr(event, "ids", ())
            last = (self._carriers.get(event.target) or [0])[-1]
            excepted = self._id in getattr(event, "except_ids", ())
            whole = not excepted and any(first <= last <= end for first, end in getattr(event, "batches", ()))
            if not (named or whole):
                return None
            target, batch = event.target, last
            detail = {n: getattr(event, n) for n in ("how", "pointer", "reason") if getattr(event, n, "")}
            if named:
                detail |= self._declared(getattr(event, "ids", ()), getattr(event, "declarations", ()))
        else:
            return None
        if target not in self._targets:
            raise StateDamaged(f"frame {frame.position} names target {target}, which no frame before it does")
        return HistoryEntry(
            frame.position,
            frame.at,
            frame.run,
            event.kind,
            self._targets[target],
            batch or None,
            self._mutations.get(batch),
            detail,
        )

    def _answered(self, event: ev.Accepted | ev.Failed) -> dict[str, Any]:
        if isinstance(event, ev.Accepted):
            self._mutations[event.batch] = event.mutation_id
            return {"attempt": event.attempt}
        if event.outcome == "unknown":
            self._doubtful.add(event.batch)
        elif event.final and event.batch not in self._doubtful:
            # It deleted nothing: from here on what is said of the batch before it is said of the id again.
            self._carriers[self._batches[event.batch]].remove(event.batch)
        said = {"attempt": event.attempt, "outcome": event.outcome, "final": event.final}
        optional = {"code": event.code, "status": event.status, "message": event.message}
        return said | {name: value for name, value in optional.items() if value}

    def _declared(self, ids: Sequence[str], runs: ev.DeclarationRuns) -> dict[str, Any]:
        """Why the id was declared: the reasons of its declarations."""
        left = list(ids).index(self._id)
        for numbers, count in runs:
            if left < count:
                return {"reasons": [self._reasons.get(number, "") for number in numbers]}
            left -= count
        return {}

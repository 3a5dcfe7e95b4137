"""Frames into the projection: a pure state machine. No I/O, no clock.

Rules. Every event is checked before anything changes; a frame is applied whole or not at all.

- Frame 1 is the header. Frames follow each other by position and by hash.
- `run_started` needs a free state and a run name never used. Events of a run need that run open. `run_finished`
  closes it. `run_fenced` closes the open run it names, in any frame.
- The first `run_started` or `target` pins the API origin; another one is damage.
- `target`: a new number makes a record; for a known index it closes the record before it (the index was
  re-created). A known number may bring the missing `created_on`, never another.
- `declared`, `intent`: a number never used, a target that is known and not closed, known declarations of it.
- A batch is unresolved from its intent on; accepted with its mutation id; processed and verified by events that
  name it. An attempt that failed without being known to have failed makes it `unknown`. A final rejection of a
  batch without such an attempt makes it rejected: it counts for no status, and its ids have the status they
  had before. After an acceptance no attempt fails; after a rejection nothing follows.
- `processed` and `verified` name accepted batches of their target. `processed` never takes back `verified`.
- The status of an id is that of the last batch that names it, as long as it is not rejected. An event that names
  the id itself overrides it, until a later intent names the id, or a later event names that whole batch without
  excepting the id. Events that name a batch count for the ids whose last batch it is at that point of the log.
- A released id is live again only by an intent or by an event that names the id itself.
- Kinds that are not known are collected and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, ClassVar, Final

from reconciler.errors import StateDamaged
from reconciler.model.idset import IdSet, IdSetBuilder
from reconciler.model.target import Target
from reconciler.model.tombstones import (
    DeclarationRecord,
    Names,
    RunRecord,
    Status,
    TargetRecord,
    place,
)
from reconciler.state import events as ev
from reconciler.state.batchtable import BatchTable
from reconciler.state.frames import Frame
from reconciler.state.statuses import Change, Ledger, Note, Shadow
from reconciler.state.tables import Refused, Tables

#: Batches have numbers up to here: a column holds no larger ones, and a log may come from anywhere.
_LAST_BATCH: Final = 2**62


#: How many ids of an event a run of declarations is for.
_count = itemgetter(1)


def _requests(answer: ev.Accepted | ev.Failed) -> int:
    """How many were made for it: none for attempt 0, a batch that was taken back before anything was sent."""
    return min(answer.attempt, 1)


def _contradiction(message: str) -> StateDamaged:
    return StateDamaged(
        message, hint="the log contradicts itself; compare it with a copy, or with a head that you remember"
    )


class Fold(Tables):
    """The state as far as it has been read. Not for several threads at once."""

    def apply(self, frame: Frame) -> None:
        """Take `frame` in.

        Raises:
            StateDamaged: it cannot follow what came before. Nothing has changed then.
        """
        self.propose(frame)
        self.commit()

    def propose(self, frame: Frame) -> None:
        """As `apply`, until it is known whether `frame` is in the log: then `commit` or `withdraw` must follow."""
        last = self._frame
        self._before = self._top, last, self._next_batch
        if frame.position != last.position + 1 or frame.prev != last.hash:
            raise _contradiction(f"frame {frame.position}: it does not follow the frame before it")
        self._frame = frame
        self._made = 0
        first, index = place(frame.position, 0), 0
        try:
            for index, event in enumerate(frame.events):
                self._stamp = first + index
                self._HANDLERS[type(event)](self, event)
        except Refused as refusal:
            self._roll_back()
            named = f"event {index + 1} ({frame.events[index].kind})"
            raise _contradiction(f"frame {frame.position}, {named}: {refusal}") from refusal
        except BaseException:
            self._roll_back()
            raise
        if self._made:
            self._push(self._requests, (frame.at, self._made))
        if frame.run in self._runs:
            self._put(self._last_frames, frame.run, (frame.at, frame.position))
        self._snapshot = None

    def commit(self) -> None:
        """The proposed frame is in the log."""
        self._undo.clear()
        self._pages.settle()
        if len(self._requests) > 10_000:  # one frame every 30 ms for five minutes
            del self._requests[:5_000]

    def withdraw(self) -> None:
        """The proposed frame is not: everything is as it was before."""
        self._roll_back()

    # What the events need to be true.

    def _need_run(self, requests: int = 0) -> None:
        """The frame is of the open run, which made so many requests for the event."""
        run = self._frame.run
        if not run or run != self._top.open:
            raise Refused(f"run {run!r} is not open")
        self._made += requests

    def _known_target(self, number: int) -> TargetRecord:
        record = self._targets.get(number)
        if record is None:
            raise Refused(f"target {number} is not known")
        self._dirty.add(number)
        return record

    def _open_target(self, number: int) -> TargetRecord:
        record = self._known_target(number)
        if record.closed:
            raise Refused(f"target {number} is closed: its index was re-created")
        return record

    def _unanswered(self, number: int) -> tuple[BatchTable, int]:
        """Where the batch stands."""
        table = self._batches.get(number)
        if table is None:
            raise Refused(f"batch {number} is not known")
        row = table.row(number)
        if table.answered(row):
            raise Refused(f"batch {number} has its answer already")
        self._dirty.add(table.target)
        return table, row

    def _pin_origin(self, origin: str) -> None:
        if self._top.origin not in (None, origin):
            raise Refused(f"origin {origin!r}, but the log belongs to {self._top.origin!r}")
        self._top = self._top._replace(origin=origin)

    def _grouped(
        self, target: int, ids: Sequence[str], runs: ev.DeclarationRuns
    ) -> list[tuple[tuple[int, ...], Sequence[str]]]:
        """`ids` by their declarations."""
        if sum(map(_count, runs)) != len(ids):
            raise Refused("its declarations do not cover its ids")
        parts: dict[tuple[int, ...], list[str]] = {}
        start = 0
        for numbers, count in runs:
            for number in numbers:
                record = self._declarations.get(number)
                if record is None or record.target != target:
                    raise Refused(f"declaration {number} of target {target} is not known")
            if count == len(ids):  # most often
                return [(tuple(numbers), ids)]
            parts.setdefault(tuple(numbers), []).extend(ids[start : start + count])
            start += count
        return list(parts.items())

    # The events.

    def _header(self, event: ev.Header) -> None:
        if self._frame.position > 1 or self._top.lineage:
            raise Refused("a second header")
        self._top = self._top._replace(lineage=event.lineage)

    def _target(self, event: ev.TargetSeen) -> None:
        self._need_run()
        self._pin_origin(event.origin)
        target = Target(event.origin, event.account_id, event.index)
        known = self._targets.get(event.target)
        if known is not None:
            if known.target != target or (known.created_on is not None and known.created_on != event.created_on):
                raise Refused(f"target {event.target} is another index, or was created at another time")
            self._put(self._targets, event.target, replace(known, created_on=event.created_on))
            self._dirty.add(event.target)
            return
        before = self.live(target)
        if before is not None:
            if before.created_on is not None and before.created_on == event.created_on:
                raise Refused(f"target {before.number} is the same index")
            self._put(self._targets, before.number, replace(before, closed=True))
            self._dirty.add(before.number)
        self._put(self._targets, event.target, TargetRecord(event.target, target, event.created_on))
        table = BatchTable(event.target, self._pages, self._shapes, self._undo)
        self._put(self._ledgers, event.target, Ledger(table))
        self._put(self._live, target, event.target)
        self._dirty.add(event.target)

    def _declare(self, event: ev.Declared) -> None:
        self._need_run()
        self._open_target(event.target)
        if event.declaration in self._declarations:
            raise Refused(f"declaration {event.declaration} is there already")
        record = DeclarationRecord(
            number=event.declaration,
            target=event.target,
            manifest=event.manifest,
            line=event.line,
            ordinal=event.ordinal,
            reason=event.reason,
            until=event.until,
            sources=tuple(event.sources),
            prefixes=tuple(event.prefixes),
            limits=event.limits,
            at=self._frame.at,
            names=Names(int(event.names["count"]), str(event.names["digest"])) if event.names else None,
            held=self._held(event.target, event.held),
        )
        self._put(self._declarations, event.declaration, record)

    def _run_started(self, event: ev.RunStarted) -> None:
        run = self._frame.run
        if self._top.open:
            raise Refused(f"run {self._top.open!r} holds the state")
        if not run or run in self._runs:
            raise Refused(f"run {run!r} has no name of its own")
        self._pin_origin(event.origin)
        record = RunRecord(
            run=run,
            command=event.command,
            actor=event.actor,
            host=event.host,
            boot_id=event.boot_id,
            pid=event.pid,
            job=event.job,
            fingerprint=event.fingerprint,
            started=self._frame.position,
            start_head=self._frame.prev,
            started_at=self._frame.at,
            lease_seconds=event.lease,
            last_frame_at=self._frame.at,
            last_frame=self._frame.position,
        )
        self._put(self._runs, run, record)
        self._top = self._top._replace(open=run, guard=event.guard)

    def _close(self, outcome: str, by: str = "") -> None:
        run = self._top.open
        self._put(self._runs, run, replace(self._runs[run], outcome=outcome, fenced_by=by))
        self._top = self._top._replace(open="", guard="")

    def _run_finished(self, event: ev.RunFinished) -> None:
        self._need_run(event.requests)
        self._close(event.outcome)

    def _run_fenced(self, event: ev.RunFenced) -> None:
        if not self._top.open or event.fenced != self._top.open:
            raise Refused(f"run {event.fenced!r} is not open")
        self._close("fenced", event.by)

    def _intent(self, event: ev.Intent) -> None:
        self._need_run()
        self._open_target(event.target)
        if event.batch in self._batches or not 1 <= event.batch <= _LAST_BATCH:
            raise Refused(f"batch number {event.batch} is used already, or is none")
        if not event.ids:
            raise Refused(f"batch {event.batch} names no id")
        groups = self._grouped(event.target, event.ids, event.declarations)
        table = self._ledgers[event.target].batches
        run = self._top.open  # equal to that of the frame, and one text for all rows
        named = table.add(event.batch, run, self._stamp, self._frame.at, groups)
        several = len(groups) > 1 and len(set(event.ids)) != len(event.ids)
        if named != len(event.ids) or several:
            raise Refused(f"batch {event.batch} names an id twice")
        self._undo.append(partial(self._batches.pop, event.batch, None))
        self._batches[event.batch] = table
        if event.batch >= self._next_batch:
            self._next_batch = event.batch + 1

    def _accepted(self, event: ev.Accepted) -> None:
        self._need_run(_requests(event))
        table, row = self._unanswered(event.batch)
        if not event.mutation_id:
            raise Refused(f"batch {event.batch} is accepted without a mutation id")
        table.accept(row, self._stamp, self._frame.at, event.mutation_id)

    def _failed(self, event: ev.Failed) -> None:
        self._need_run(_requests(event))
        table, row = self._unanswered(event.batch)
        if event.outcome not in ("rejected", "unknown"):
            raise Refused(f"an attempt cannot end {event.outcome!r}")
        table.fail(row, _requests(event), unknown=event.outcome == "unknown")
        if event.final and not table.unknown[row]:
            table.reject(row, self._frame.at)
            shadow = Shadow(table.intent[row], self._stamp, table.record(row).ids)
            self._push(self._ledgers[table.target].shadows, shadow)

    def _processed(self, event: ev.Processed) -> None:
        self._need_run(event.requests)
        self._settle(event.target, event.batches, (), Status.PROCESSED)

    def _verified(self, event: ev.Verified) -> None:
        self._need_run(event.requests)
        self._settle(event.target, event.batches, event.except_ids, Status.VERIFIED)
        self._note(event.target, event.ids, event.declarations, Status.VERIFIED)

    def _reappeared(self, event: ev.Reappeared) -> None:
        self._need_run(event.requests)
        self._note(event.target, event.ids, event.declarations, Status.REAPPEARED)

    def _released(self, event: ev.Released) -> None:
        self._need_run()
        self._settle(event.target, event.batches, event.except_ids, Status.RELEASED)
        self._note(event.target, event.ids, (), Status.RELEASED)
        whole = IdSetBuilder()
        for first, last in event.batches:
            for row in chain.from_iterable(self._spans(event.target, first, last)):
                for _, block in self._ledgers[event.target].batches.blocks(row):
                    whole.extend_block(block)
        named = (whole.build() - IdSet.of(event.except_ids)) | IdSet.of(event.ids)
        self._push(self._ledgers[event.target].releases, (self._frame.at, named))

    def _note(self, target: int, ids: Sequence[str], runs: ev.DeclarationRuns, status: Status) -> None:
        self._known_target(target)
        if ids:
            groups = self._grouped(target, ids, runs) if runs else ()
            declared = tuple((numbers, IdSet.of(part)) for numbers, part in groups)
            self._push(self._ledgers[target].notes, Note(self._stamp, status, IdSet.of(ids), declared))

    def _settle(self, target: int, ranges: ev.Ranges, except_ids: Sequence[str], status: Status) -> None:
        """Whole batches get `status`."""
        self._known_target(target)
        ledger = self._ledgers[target]
        spans = [span for first, last in ranges for span in self._spans(target, first, last)]
        for span in spans:
            refused = ledger.batches.refused(span, status)
            if refused is not None:
                raise Refused(f"batch {refused} was never accepted")
        if except_ids:
            self._put(ledger.excepted, self._stamp, IdSet.of(except_ids))
        got = [each for span in spans for each in ledger.batches.settle(span, status, self._frame.at)]
        if got:
            self._push(ledger.changes, Change(self._stamp, status, tuple(got)))

    def _moved(self, event: ev.Moved) -> None:
        self._top = self._top._replace(moved_to=event.to)

    def _lease_renewed(self, event: ev.LeaseRenewed) -> None:
        self._need_run(event.requests)

    def _limits_ignored(self, event: ev.LimitsIgnored) -> None:
        self._need_run()
        self._remember_ignored(event.who, event.why, event.limits)

    def _collect(self, event: ev.Unknown) -> None:
        self._put(self._unknown, str(event.document.get("kind")), None)

    _HANDLERS: ClassVar[dict[type[Any], Callable[[Fold, Any], None]]] = {
        ev.Header: _header,
        ev.TargetSeen: _target,
        ev.Declared: _declare,
        ev.RunStarted: _run_started,
        ev.RunFinished: _run_finished,
        ev.RunFenced: _run_fenced,
        ev.Intent: _intent,
        ev.Accepted: _accepted,
        ev.Failed: _failed,
        ev.Processed: _processed,
        ev.Verified: _verified,
        ev.Reappeared: _reappeared,
        ev.Released: _released,
        ev.LeaseRenewed: _lease_renewed,
        ev.LimitsIgnored: _limits_ignored,
        ev.Recovered: lambda _fold, _event: None,
        ev.Moved: _moved,
        ev.Unknown: _collect,
    }

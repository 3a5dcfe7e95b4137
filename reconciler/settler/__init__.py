"""Turns accepted into processed, and processed into verified: by reading, never by assuming.

The rules it keeps:

1. Happens-before is read from the log. Batch B is after A when B's intent comes later in the log than A's
   acceptance. A is processed when the service's pointer equals A's mutation, or that of any batch after A.
2. Verified needs a read begun after the mutation was processed, on an index whose `created_on` is the pinned one
   before and after. Anything else is an error, never absence.
3. When the pointer has named none of ours 120 s after the last acceptance (a busy index with other writers), the
   ids are read anyway: missing is verified, recorded as "read, pointer not seen".
4. An id that is present after it was processed, but was never verified, is read again until the time runs out.
   Then it is reappeared only if a read begun at least 120 s after it was processed found it present.
5. Ids that were found absent and therefore not sent are read after a mutation of this run was processed on that
   index: an upsert accepted before the plan's look may still have been in the service's log.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from reconciler.clock import Clock
from reconciler.errors import AuthenticationFailed, IndexNotFound, Interrupted, PermissionDenied, ServiceError
from reconciler.model.diagnostic import warning
from reconciler.model.idset import IdSet
from reconciler.model.limits import FIRST_POLL_SECONDS
from reconciler.model.notices import (
    PROGRESS_SECONDS,
    Problem,
    ProcessedIds,
    Progress,
    ReappearedIds,
    Sink,
    VerifiedIds,
)
from reconciler.model.target import Target
from reconciler.model.tombstones import Status, TargetRecord
from reconciler.observer import IndexRecreated, Observer, Reading
from reconciler.settler.cases import (
    PROCESSING_SECONDS,
    Audit,
    Case,
    Groups,
    Phase,
    Settlement,
    TargetSettlement,
    processed_by,
)
from reconciler.settler.findings import found_present, found_read, found_under_prefixes
from reconciler.state.events import Event, LeaseRenewed, Processed
from reconciler.state.naming import frames, ranges
from reconciler.state.run import Run
from reconciler.vectorize import Dispatcher

__all__ = ["Audit", "Groups", "Settlement", "Settler", "TargetSettlement", "processed_by"]


@dataclass
class _Tally:
    """What progress tells, kept up to date: adding it up twice a second over thousands of targets takes its time.

    Attributes:
        open: targets that are not done.
    """

    done: int = 0
    total: int = 0
    batches_done: int = 0
    batches_total: int = 0
    open: int = 0

    @classmethod
    def of(cls, cases: Sequence[Case]) -> _Tally:
        """Before anything is read."""
        return cls(
            total=sum(len(case.ids) + len(case.absent_ids) + len(case.audit) for case in cases),
            batches_done=sum(len(case.numbers) - len(case.waiting) for case in cases),
            batches_total=sum(len(case.numbers) for case in cases),
            open=len(cases),
        )


class Settler:
    """Settles targets within a run.

    Args:
        run: open; everything learnt is recorded in it.
        timeout: seconds from now after which waiting ends.
    """

    def __init__(
        self, run: Run, observer: Observer, dispatcher: Dispatcher, clock: Clock, *, timeout: float, notify: Sink
    ) -> None:
        self._run = run
        self._observer = observer
        self._dispatcher = dispatcher
        self._clock = clock
        self._notify = notify
        self._timeout = timeout
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self._stopping = False
        self._deadline = float("inf")
        self._polling = 0
        self._counted = dispatcher.budget.started
        self._told = clock.elapsed()
        self._tally = _Tally()

    def stop(self) -> None:
        """End soon, recording what is known. Safe in a signal handler."""
        self._stopping = True
        self._dispatcher.stop()
        self._wakeups.put(None)

    def settle(
        self,
        records: Sequence[TargetRecord],
        *,
        absent: Mapping[Target, Groups] | None = None,
        audit: Audit | None = None,
    ) -> Settlement:
        """Settle everything pending of `records`.

        Args:
            records: the targets, as the log has them now.
            absent: ids found absent and not sent, by target; to be proven after this run's mutations.
            audit: read every tombstone that was verified or had reappeared again, too, and what it names.

        Raises:
            RunFenced, StateError: the log could not be written.
        """
        again = (Status.VERIFIED, Status.REAPPEARED) if audit is not None else ()
        absent, run = absent or {}, self._run.run
        extra = audit or Audit()
        cases = [
            Case(
                record,
                absent.get(record.target, ()),
                record.ids(*again) | extra.released.get(record.number, IdSet()),
                self._clock,
                run,
                promises=extra.promises.get(record.number, ()),
            )
            for record in records
        ]
        cases = [case for case in cases if case.asked or case.promises]
        self._tally = _Tally.of(cases)
        self._observer.attend(self._beat, self._notify)
        if cases:
            self._tell_progress()
        fatal = None
        try:
            self._until_done(cases)
        except (AuthenticationFailed, PermissionDenied) as refused:
            fatal = refused
        for case in cases:
            if case.phase is not Phase.DONE:
                self._time_is_up(case)
        return Settlement({case.target: case.result for case in cases}, fatal, self._requests())

    def _until_done(self, cases: Sequence[Case]) -> None:
        self._deadline = self._clock.elapsed() + self._timeout
        self._polling = sum(case.phase is Phase.POLLING for case in cases)
        waiting = [(case.due, order) for order, case in enumerate(cases)]
        heapq.heapify(waiting)
        while waiting and not self._stopping:
            due, order = waiting[0]
            if not self._wait_until(min(due, self._deadline)):
                continue
            if due > self._deadline:
                return
            case = cases[order]
            self._advance(case)
            if case.phase is Phase.DONE:
                self._tally.open -= 1
                heapq.heappop(waiting)
            else:
                heapq.heapreplace(waiting, (case.due, order))

    def _wait_until(self, moment: float) -> bool:
        """Wait in steps short enough for the lease and for progress; True when `moment` has come."""
        self._beat()
        now = self._clock.elapsed()
        if now >= moment:
            return True
        self._clock.wait(self._wakeups, min(moment - now, PROGRESS_SECONDS))
        return False

    def _beat(self) -> None:
        """Renew the lease and tell the progress, when they are due."""
        if self._run.renew_due():
            self._run.renew(self._requests())
        if self._clock.elapsed() - self._told >= PROGRESS_SECONDS:
            self._tell_progress()

    def _requests(self) -> int:
        """Requests made since this was last asked."""
        made = self._dispatcher.budget.started - self._counted
        self._counted += made
        return made

    def _advance(self, case: Case) -> None:
        try:
            if case.phase is Phase.POLLING:
                self._poll(case)
            if case.phase is Phase.READING:
                self._read(case)
        except Interrupted:
            self._stopping = True
        except (AuthenticationFailed, PermissionDenied):
            raise
        except (IndexNotFound, IndexRecreated) as gone:
            self._fail(case, gone)
        except ServiceError as failed:
            if not failed.passing:
                self._fail(case, failed)
                return
            self._notify(Problem(warning("read-failed", f"{case.target}: {failed.message}", "Tried again.")))
            case.wait_longer(self._clock, failed.retry_after or 0.0)

    def _fail(self, case: Case, error: ServiceError) -> None:
        case.result.error = error
        case.result.pending = case.unproven
        case.phase = Phase.DONE

    def _poll(self, case: Case) -> None:
        pointer, case.live_count = self._observer.pointer(case.target)
        processed = processed_by(pointer, case.record.batches)
        numbers = [batch.number for batch in processed if batch.number in case.waiting]
        if numbers and pointer is not None:
            self._run.append([Processed(case.record.number, ranges(numbers), pointer, self._requests())])
            case.waiting.difference_update(numbers)
            self._tally.batches_done += len(numbers)
            self._notify(ProcessedIds(case.target, len(numbers), pointer))
        if case.waiting:
            if self._clock.elapsed() < case.fallback:
                # Many indexes at once are looked at no faster than the budget can bear for long.
                case.wait_longer(self._clock, self._polling * self._dispatcher.budget.seconds_a_request)
                return
            case.pointer_seen = False
        self._polling -= 1
        case.processed_at = self._clock.elapsed()
        case.phase = Phase.READING
        case.interval = FIRST_POLL_SECONDS

    def _read(self, case: Case) -> None:
        began, left = self._clock.elapsed(), len(case.asked)
        readings = self._observer.prove(
            case.target,
            case.asked,
            pin=case.record.created_on,
            live_count=case.live_count,
            slices=case.slices,
            prefixes=[promise.text for promise in case.promises],
        )
        for reading in readings:
            self._take(case, reading)
            left -= len(reading.asked)
            if left and (self._stopping or self._clock.elapsed() >= self._deadline):
                break
        else:
            case.late_at = began
        if case.asked:
            case.wait_longer(self._clock)
        else:
            case.phase = Phase.DONE

    def _take(self, case: Case, reading: Reading) -> None:
        """Record what a proof says, at once: what comes after it may fail."""
        if reading.note:
            self._notify(Problem(warning("list-not-used", reading.note, "Read by get_by_ids instead.")))
        how = reading.how if case.pointer_seen else f"{reading.how}; read, pointer not seen"
        self._record(found_read(case, reading.asked, reading.present, how))
        case.unread -= reading.asked
        case.late = (case.late - reading.asked) | (reading.present & case.ids)
        if missing := len(reading.asked) - len(reading.present):
            case.result.verified += missing
            self._tally.done += missing
            self._notify(VerifiedIds(case.target, missing, how))
        if wrong := reading.present - case.ids:
            self._found(case, wrong)
        if strange := list(found_under_prefixes(case, reading.others, how)):
            self._record(strange)
            self._found(case, IdSet.union(IdSet.of(event.ids) for event in strange))
        case.promises = ()

    def _record(self, events: Iterable[Event]) -> None:
        for portion in frames(events):
            self._run.append([*portion, LeaseRenewed(self._requests())])

    def _found(self, case: Case, ids: IdSet) -> None:
        case.result.reappeared = IdSet.union([case.result.reappeared, ids])
        self._notify(ReappearedIds(case.target, len(ids), tuple(ids.first(20))))

    def _time_is_up(self, case: Case) -> None:
        """Rule 4's end: read long enough after it was processed is reappeared, anything else is pending."""
        if case.late and case.late_at - case.processed_at >= PROCESSING_SECONDS and not self._stopping:
            self._record(found_present(case, case.late, "still present"))
            self._found(case, case.late)
            case.late = IdSet()
        case.result.pending = case.unproven

    def _tell_progress(self) -> None:
        self._told = self._clock.elapsed()
        tally = self._tally
        self._notify(
            Progress(
                phase="settling",
                done=tally.done,
                total=tally.total,
                batches_done=tally.batches_done,
                batches_total=tally.batches_total,
                requests=self._dispatcher.budget.started,
                requests_left=self._dispatcher.requests_left,
                # Known while the last target is read by get_by_ids; how long the service takes nobody knows.
                seconds_left=self._observer.seconds_left if tally.open == 1 else None,
            )
        )

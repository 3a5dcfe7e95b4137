"""Drives a plan: intent → request → outcome, so that nothing is ever sent that is not remembered.

One thread coordinates. It forms batches, hands frames to the recorder and starts requests through the dispatcher;
workers make exactly one attempt each. The rules it keeps:

1. A request leaves only after the frame that names its ids is durable, and while the newest acknowledged frame of
   this run is under 30 s old (a fenced run finds out before it can send).
2. At most one append is in flight. What arrives meanwhile goes into the next frame together: outcomes first, then
   the next intents. Intents run at most twice the concurrency ahead, and as long as more of them are in reserve
   than can start while two frames are recorded, outcomes wait a moment for others: a frame costs as much as
   several requests, and more in a remote store.
3. Batches are full across the declarations of a target. The last batch of a target goes alone, its intent after
   every other outcome of that target is recorded: its mutation then proves the others processed.
4. After one batch of a target fails for good, no new batch of that target starts.
5. An id is sent only if the manifests, read again, declare it and no keep protects it.
6. A batch that is not wanted any more before its first attempt is withdrawn: it costs no request, and the log
   says so with attempt 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import suppress
from math import ceil

from reconciler.applier.recorder import Recorder
from reconciler.applier.work import Batch, Lane, SendResult, TargetResult, TargetWork, work_for
from reconciler.clock import Clock
from reconciler.errors import (
    AuthenticationFailed,
    PermissionDenied,
    ReconcilerError,
    ServiceError,
    StateError,
    TooManyIds,
)
from reconciler.model.diagnostic import warning
from reconciler.model.notices import PROGRESS_SECONDS, BatchFailed, BatchSubmitted, Problem, Progress, Sink, ignore
from reconciler.model.target import Target
from reconciler.state.events import Accepted, Event, Failed, LeaseRenewed
from reconciler.state.run import FRESH, Run
from reconciler.vectorize import Client, Dispatcher, Outcome
from reconciler.vectorize.budget import INSTANT

__all__ = ["LINGER", "Applier", "Recorder", "SendResult", "TargetResult", "TargetWork", "work_for"]


#: Seconds for which an outcome waits for others to be recorded with. What is lost with the machine in that time
#: is sent again, as what is in flight is.
LINGER = 0.1

#: Different messages of the service that a run tells; one that differs with every request would bury the rest.
_MESSAGES_TOLD = 20


class Applier:
    """Sends what is to be sent.

    Args:
        run: the open run that everything is recorded in.
        client: makes the requests.
        dispatcher: paces and repeats them; this class sets its gate.
        batch_size: ids a request, until the service teaches a smaller number.
        next_batch: the next free batch number of the log.
        notify: told what happens.
        threads: see Recorder.
    """

    def __init__(
        self,
        run: Run,
        client: Client,
        dispatcher: Dispatcher,
        clock: Clock,
        *,
        batch_size: int,
        next_batch: int,
        notify: Sink,
        threads: bool = True,
    ) -> None:
        self._run = run
        self._client = client
        self._dispatcher = dispatcher
        self._clock = clock
        self._size = batch_size
        self._next_batch = next_batch
        self._notify = notify
        self._recorder = Recorder(run, dispatcher.wake, threads=threads)
        self._lanes: list[Lane] = []
        self._turns: deque[Lane] = deque()
        self._open: dict[Hashable, Batch] = {}
        self._outcomes: list[tuple[Event, Batch | None]] = []
        self._arrived = 0.0  # when the first of them did
        self._formed: list[Batch] = []
        self._enough = 0.0  # with more in reserve than this the next frame can wait
        self._appending = 0.0  # when the last frame was handed over
        self._unknown: set[Hashable] = set()
        self._messages: set[str] = set()
        self._stopping = False
        self._fatal: ReconcilerError | None = None
        self._told = clock.elapsed()
        self._total = 0
        self._accepted_ids = 0
        self._accepted_batches = 0
        self._unformed = 0  # batches, by the ids that are left and the size that is known now
        self._began = clock.elapsed()

    def stop(self) -> None:
        """Start nothing more; what is in flight is finished and recorded. Safe in a signal handler."""
        self._stopping = True
        self._dispatcher.stop()

    def send(self, works: list[TargetWork]) -> SendResult:
        """Send everything, and return when every batch has its outcome recorded.

        Raises:
            RunFenced, StateError: the log could not be written; nothing more was started after that.
        """
        self._lanes = [Lane(work) for work in works if work.ids]
        self._turns = deque(self._lanes)
        self._total = sum(lane.left for lane in self._lanes)
        self._unformed = self._batches_left()
        self._dispatcher.gate = lambda: self._run.fresh(FRESH)
        if self._total:
            self._tell_progress()
        try:
            while self._step():
                pass
        except Exception:
            self._keep_outcomes()
            raise
        finally:
            self._dispatcher.stop()
            self._recorder.close()
        if self._total:
            self._tell_progress()
        return SendResult({lane.work.target: lane.result for lane in self._lanes}, fatal=self._fatal)

    def _step(self) -> bool:
        """One turn of the coordinator; False when there is nothing left to do."""
        if self._recorder.collect() is not None:
            self._recorded()
        if self._stopping or self._fatal is not None:
            self._wind_down()
        if not self._recorder.busy and self._record_due() <= 0:
            self._record_next()
        if not (self._open or self._outcomes or self._recorder.busy):
            return False
        self._take(self._dispatcher.next(self._patience()))
        if not self._dispatcher.in_flight and (self._dispatcher.held or not self._dispatcher.queued):
            self._recorder.wait(PROGRESS_SECONDS)  # without it nothing can start: next() would return at once
        while (outcome := self._dispatcher.next(0.0)) is not None:
            self._take(outcome)
        if self._clock.elapsed() - self._told >= PROGRESS_SECONDS:
            self._tell_progress()
        return True

    def _keep_outcomes(self) -> None:
        """The run ends here: wait for what is in flight and record it, or let the run keep it in a file."""
        self._notify = ignore
        self._dispatcher.stop()
        self._recorder.close()
        while self._dispatcher.in_flight:
            with suppress(Exception):  # the first failure is on its way to the caller
                self._take(self._dispatcher.next(1.0))
        if self._outcomes:
            with suppress(StateError):
                self._run.append([event for event, _ in self._outcomes])

    def _patience(self) -> float:
        """Seconds until progress is due, or a frame; the lease and stale intents are looked at then, too."""
        progress = max(0.05, self._told + PROGRESS_SECONDS - self._clock.elapsed())
        waiting = self._outcomes and not self._recorder.busy
        return min(progress, max(0.0, self._record_due())) if waiting else progress

    def _record_due(self) -> float:
        """Seconds for which the next frame can still wait for more."""
        dispatcher = self._dispatcher
        scarce = dispatcher.reserve <= self._enough
        if scarce or dispatcher.held or self._stopping or self._fatal is not None or self._run.renew_due():
            return 0.0
        # Without an outcome there is nothing to form either: only the end of a batch makes room for another.
        return self._arrived + LINGER - self._clock.elapsed() if self._outcomes else PROGRESS_SECONDS

    def _record_next(self) -> None:
        """Put everything that has arrived, and the next intents, into one frame."""
        outcomes, self._outcomes = self._outcomes, []
        events = [event for event, _ in outcomes]
        for _, batch in outcomes:
            if batch is not None:
                batch.lane.open -= 1
        self._formed = list(self._form())
        events += [batch.intent() for batch in self._formed]
        if not events and (self._run.renew_due() or (self._dispatcher.held and self._open)):
            events = [LeaseRenewed()]
        if events:
            self._appending = self._clock.elapsed()
            self._recorder.start(events)

    def _form(self) -> Iterator[Batch]:
        """New batches, targets in turn, as far ahead as rule 2 allows."""
        if self._stopping or self._fatal is not None:
            return
        idle = 0
        while len(self._open) < 2 * self._dispatcher.concurrency and idle < len(self._turns):
            lane = self._turns.popleft()
            if lane.finished:
                continue
            self._turns.append(lane)
            if not lane.may_form(self._size):
                idle += 1
                continue
            idle = 0
            runs, ids = lane.form(self._size)
            batch = Batch(self._next_batch, lane, runs, ids)
            self._next_batch += 1
            self._unformed -= 1
            lane.open += 1
            self._open[batch.number] = batch
            yield batch

    def _recorded(self) -> None:
        """The frame is durable: its intents may be acted on."""
        now = self._clock.elapsed()
        pace = self._accepted_batches / max(now - self._began, INSTANT)
        self._enough = 2 * pace * (now - self._appending)
        formed, self._formed = self._formed, []
        for batch in formed:
            if why := self._unwanted(batch):
                self._not_sent(batch, why)
            else:
                self._dispatcher.submit(batch.number, self._client.deletion(batch.lane.work.target, batch.ids))

    def _unwanted(self, batch: Batch) -> str:
        """Why nothing of `batch` should be sent, by what was learned since its intent; "" when it should."""
        if batch.lane.result.error is not None:
            return "not sent: another batch of this index failed for good"
        if len(batch.ids) > self._size:
            return f"not sent: the service takes at most {self._size} ids"
        return ""

    def _withdraw(self) -> None:
        """Take back what waits for its first attempt and is not wanted any more."""
        for batch in reversed(list(self._open.values())):
            if (why := self._unwanted(batch)) and self._dispatcher.withdraw(batch.number):
                self._not_sent(batch, why)

    def _not_sent(self, batch: Batch, why: str) -> None:
        """Record that no attempt was made; ids that another batch can take go back to their lane."""
        self._record_failure(batch, 0, ServiceError(why), unknown=False, retry_in=None)
        if batch.lane.result.error is None:
            self._put_back(batch)

    def _put_back(self, batch: Batch) -> None:
        self._unformed -= ceil(batch.lane.left / self._size)
        batch.lane.put_back(batch)
        self._unformed += ceil(batch.lane.left / self._size)

    def _batches_left(self) -> int:
        return sum(ceil(lane.left / self._size) for lane in self._lanes)

    def _take(self, outcome: Outcome | None) -> None:
        """Turn an attempt's end into an event for the next frame."""
        if outcome is None:
            return
        batch = self._open[outcome.key]
        if outcome.error is None:
            self._accepted(batch, outcome.attempt, outcome.result.mutation_id)
            self._tell(batch.lane.work.target, outcome.result.messages)
        else:
            self._failed(batch, outcome, outcome.error)

    def _accepted(self, batch: Batch, attempt: int, mutation_id: str) -> None:
        del self._open[batch.number]
        result = batch.lane.result
        result.accepted += len(batch.ids)
        result.batches += 1
        self._accepted_ids += len(batch.ids)
        self._accepted_batches += 1
        self._arrive(Accepted(batch.number, mutation_id, attempt), batch)
        self._notify(BatchSubmitted(batch.lane.work.target, batch.number, len(batch.ids), mutation_id, attempt))

    def _arrive(self, event: Event, batch: Batch | None) -> None:
        """An outcome waits to be recorded. `batch`: one that it ends."""
        if not self._outcomes:
            self._arrived = self._clock.elapsed()
        self._outcomes.append((event, batch))

    def _tell(self, target: Target, messages: tuple[str, ...]) -> None:
        """Tell what the service says beside an acceptance, each text once a run."""
        for text in messages:
            if text not in self._messages and len(self._messages) < _MESSAGES_TOLD:
                self._messages.add(text)
                self._notify(Problem(warning("service-message", f"{target.index}: the service says: {text}")))

    def _failed(self, batch: Batch, outcome: Outcome, error: ServiceError) -> None:
        if error.may_have_been_accepted:
            self._unknown.add(batch.number)
        # One attempt that may have been accepted makes the whole batch unknown, whatever the last one said.
        unknown = batch.number in self._unknown if outcome.final else error.may_have_been_accepted
        self._record_failure(batch, outcome.attempt, error, unknown=unknown, retry_in=outcome.retry_in)
        if not outcome.final:
            return
        if isinstance(error, TooManyIds) and len(batch.ids) > 1:
            self._learn(batch, error)
            return
        self._give_up(batch, error, unknown=unknown)
        self._withdraw()
        if isinstance(error, AuthenticationFailed | PermissionDenied):
            self._fatal = self._fatal or error
            self._dispatcher.stop()

    def _record_failure(
        self, batch: Batch, attempt: int, error: ServiceError, *, unknown: bool, retry_in: float | None
    ) -> None:
        final = retry_in is None
        kind = "unknown" if unknown else "rejected"
        event = Failed(batch.number, attempt, kind, final, error.code, error.status, error.message[:500])
        self._arrive(event, batch if final else None)
        if final:
            del self._open[batch.number]
        self._notify(
            BatchFailed(
                target=batch.lane.work.target,
                batch=batch.number,
                ids=len(batch.ids),
                attempt=attempt,
                outcome=kind,
                final=final,
                error=error.message,
                code=error.code,
                status=error.status,
                retry_in=retry_in,
            )
        )

    def _give_up(self, batch: Batch, error: ServiceError, *, unknown: bool) -> None:
        result = batch.lane.result
        result.error = result.error or error
        if unknown:
            result.unknown += len(batch.ids)
        else:
            result.rejected += len(batch.ids)

    def _learn(self, batch: Batch, error: TooManyIds) -> None:
        """The service takes fewer ids than we thought: remember it for every target, and form these again."""
        stated = error.maximum
        smaller = stated if stated and stated < len(batch.ids) else ceil(len(batch.ids) / 2)
        self._size = min(self._size, smaller)
        self._unformed = self._batches_left()
        self._withdraw()
        self._put_back(batch)

    def _wind_down(self) -> None:
        """Take back what has not started: nothing of it was sent, unless an attempt went before."""
        self._dispatcher.stop()
        for number in self._dispatcher.abandoned():
            batch = self._open[number]
            why = ServiceError(
                "not sent: the run was stopped" if self._stopping else "not sent: the run ended early"
            )
            unknown = number in self._unknown
            self._record_failure(batch, 0, why, unknown=unknown, retry_in=None)
            if unknown:
                batch.lane.result.unknown += len(batch.ids)

    def _tell_progress(self) -> None:
        now = self._clock.elapsed()
        self._told = now
        done, batches = self._accepted_ids, self._accepted_batches
        left = self._total - done
        spent = now - self._began
        pace = left * spent / done if done and spent > 0 else None
        notice = Progress(
            phase="sending",
            done=done,
            total=self._total,
            batches_done=batches,
            batches_total=batches + len(self._open) + self._unformed,
            requests=self._dispatcher.budget.started,
            requests_left=self._dispatcher.requests_left,
            seconds_left=pace,
        )
        self._notify(notice)

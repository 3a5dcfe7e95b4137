"""Carries a plan out within an open run: pins, declarations, releases, deletes, proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.applier import Applier, SendResult, TargetWork, work_for
from reconciler.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    IndexNotFound,
    PermissionDenied,
    ReconcilerError,
    ServiceError,
)
from reconciler.model.diagnostic import error
from reconciler.model.idset import IdSet
from reconciler.model.notices import Problem, Sink
from reconciler.model.plan import ActionKind, IndexPlan
from reconciler.model.target import Target
from reconciler.model.tombstones import Projection, Status, TargetRecord
from reconciler.observer import Observer
from reconciler.operations.context import Context
from reconciler.operations.interrupts import Interrupts
from reconciler.operations.planning import Planned, listed_first
from reconciler.operations.recording import Book
from reconciler.settler import Groups, Settlement, Settler
from reconciler.state.events import Declared, LeaseRenewed, Released
from reconciler.state.naming import IDS_AN_EVENT, Own, frames, ranges
from reconciler.state.run import Run
from reconciler.vectorize import Budget, Client


@dataclass
class Execution:
    """What came of a plan.

    Attributes:
        sent: of the deletes.
        settled: of the proof; None when nobody waited for it.
        blocked: targets that were left alone, and why.
        released: ids released.
        recorded: declarations recorded, being new or changed.
        unproven: ids found absent and not sent, which nobody has read again: the next plan looks at them again.
        error: what ended it early; None when it came to its end.
    """

    sent: SendResult = field(default_factory=SendResult)
    settled: Settlement | None = None
    blocked: dict[Target, ReconcilerError] = field(default_factory=dict)
    released: int = 0
    recorded: int = 0
    unproven: int = 0
    error: ReconcilerError | None = None


class Executor:
    """Carries plans out.

    Args:
        context: see Context.
        run: open; everything is recorded in it.
        client: makes the requests.
        budget: what they may cost.
        notify: told what happens.
        interrupts: how it is asked to stop.
        looked: requests that the plan took, not in the log yet.

    Attributes:
        done: what has come of it so far.
    """

    def __init__(
        self,
        context: Context,
        run: Run,
        client: Client,
        budget: Budget,
        *,
        notify: Sink,
        interrupts: Interrupts,
        looked: int = 0,
    ) -> None:
        self._context = context
        self._run = run
        self._client = client
        self._notify = notify
        self._interrupts = interrupts
        self._budget = budget
        self._counted = -looked
        self.done = Execution()

    @property
    def uncounted(self) -> int:
        """Requests that no frame of the log counts yet."""
        return self._budget.started - self._counted

    def carry_out(self, planned: Planned, skip: Mapping[Target, IdSet], *, wait: bool, timeout: float) -> None:
        """Do what the plan says; what comes of it is in `done`.

        Args:
            planned: the plan, with the manifests as they are now.
            skip: ids that need no sending after all: they were accepted since.
            wait: settle until verified.
            timeout: seconds for that, after the last acceptance.

        Raises:
            PlanRefused: the plan names an id that the manifests do not. Nothing was sent.
            ServiceError, Interrupted: no index can be looked at: the token, or the service, is not there for any.
                Nothing was sent. An error of one index blocks that index alone.
            RunFenced, StateError: the log could not be written.
        """
        done = self.done
        indexes = [
            index for index in planned.plan.indexes if index.actions or listed_first(planned.projection, index)
        ]
        with self._context.dispatcher(self._budget) as reads:
            observer = Observer(self._client, reads, self._context.clock, tick=self._renew, notify=self._notify)
            self._interrupts.on_request(reads.stop)
            done.blocked.update((target, missing_index(target)) for target in planned.missing)
            pins = self._pins(indexes, observer, planned.projection)
            works, absent = self._record_intentions(planned, pins, skip)
            self._release(indexes)
            self._send(works)
            if not wait:
                sent = {work.target: IdSet.union(ids for _, ids in work.groups) for work in works}
                done.unproven = sum(
                    len(ids - sent[target]) for target, groups in absent.items() for _, ids in groups
                )
            if wait and done.error is None and not self._interrupts.requested:
                targets = {index.target for index in indexes} - done.blocked.keys()
                records = [
                    r for r in self._run.snapshot().targets.values() if r.target in targets and not r.closed
                ]
                settler = Settler(
                    self._run, observer, reads, self._context.clock, timeout=timeout, notify=self._notify
                )
                self._interrupts.on_request(settler.stop)
                proven = {target: groups for target, groups in absent.items() if self._sent_something(target)}
                done.settled = settler.settle(records, absent=proven)
                done.error = done.settled.fatal
                self._counted = self._budget.started - done.settled.requests

    def _renew(self) -> None:
        if self._run.renew_due():
            self._run.renew()

    def _pins(self, indexes: list[IndexPlan], observer: Observer, projection: Projection) -> dict[Target, str]:
        """`created_on` of each target to send to, read once before its first delete."""
        wanted = [
            index
            for index in indexes
            if index.target not in self.done.blocked
            and (index.to_send or index.ids(ActionKind.ALREADY_ABSENT) or listed_first(projection, index))
        ]
        found: dict[Target, str | ServiceError] = {}
        ended: ReconcilerError | None = None
        try:
            self._look_at([index.target for index in wanted], observer, found)
        except ReconcilerError as error_of_all:
            ended = error_of_all  # what was learnt before it is told first
        pins: dict[Target, str] = {}
        for index in wanted:
            target, created_on = index.target, found.get(index.target)
            if created_on is None:
                continue
            if isinstance(created_on, ServiceError):
                self._block(target, created_on)
                continue
            record = projection.live(target)
            known = index.created_on or (None if record is None else record.created_on)
            approved = index.observed_created_on or known
            if approved is not None and created_on != approved:
                why = f"{target}: the index was deleted and created again ({approved} → {created_on})"
                hint = "Nothing was sent to it. plan --refresh shows what is declared of the new one."
                self._block(target, ReconcilerError(why, hint=hint))
                continue
            pins[target] = created_on
        if ended is not None:
            raise ended
        return pins

    def _look_at(self, targets: list[Target], observer: Observer, found: dict[Target, str | ServiceError]) -> None:
        """Put `created_on` of each into `found`, or why it could not be read.

        Raises:
            ServiceError: it is the service, or the token, that fails.
        """
        together = 2 * self._context.config.api.concurrency
        failed = 0
        # Two are asked alone: a service that nobody can reach is not asked for more. A short outage fails all that
        # are under way together. When one more fails, thousands would be waited for in vain.
        for some, most in ((targets[:1], 2), (targets[1:2], 2), (targets[2:], together + 1)):
            for target, answer in observer.created_on_each(some):
                if isinstance(answer, AuthenticationFailed | PermissionDenied):
                    raise answer
                found[target] = answer
                failed = failed + 1 if isinstance(answer, ConnectionFailed) else 0
                if isinstance(answer, ConnectionFailed) and failed >= most:
                    raise answer

    def _block(self, target: Target, why: ReconcilerError) -> None:
        self.done.blocked[target] = why
        self._notify(Problem(error("target-blocked", why.message, why.hint)))

    def _record_intentions(
        self, planned: Planned, pins: Mapping[Target, str], skip: Mapping[Target, IdSet]
    ) -> tuple[list[TargetWork], dict[Target, Groups]]:
        """Targets and declarations get their numbers in the log; what to send is checked against the manifests."""
        book = Book(self._context.config.limits, self._run.snapshot())
        works: list[TargetWork] = []
        absent: dict[Target, Groups] = {}
        for index in planned.plan.indexes:
            target = index.target
            if target not in pins:
                if target not in self.done.blocked:
                    book.record_only(planned, index)
                continue
            number = book.target(target, pins[target])
            declared = planned.desired.of(target)
            declarations = book.declarations(number, planned, index)
            book.seen_again(number, planned, index)
            not_sent = index.ids(ActionKind.ALREADY_ABSENT) - self._settled_since(target)
            found_absent = work_for(number, target, not_sent, declarations, declared.kept(not_sent))
            ids = index.to_send - skip.get(target, IdSet())
            if not ids and not_sent:
                # Nothing else is sent there: one batch of them is the barrier behind which they are read.
                ids = IdSet.of(not_sent.first(self._context.config.api.batch_size))
            works.append(work_for(number, target, ids, declarations, declared.kept(ids)))
            if found_absent.ids:
                absent[target] = found_absent.groups
        if works or book.events:
            for portion in frames([*book.events, LeaseRenewed(self.uncounted)]):
                self._run.append(portion)
            self.done.recorded = sum(isinstance(event, Declared) for event in book.events)
            self._counted = self._budget.started
        return works, absent

    def _settled_since(self, target: Target) -> IdSet:
        """Ids that an earlier run of this plan has proven, or sent as a barrier."""
        record = self._run.snapshot().live(target)
        return IdSet() if record is None else record.ids(Status.VERIFIED, Status.ACCEPTED, Status.PROCESSED)

    def _release(self, indexes: list[IndexPlan]) -> None:
        projection = self._run.snapshot()  # once: nothing that is asked here changes by a release
        for index in indexes:
            if index.target in self.done.blocked:
                continue
            record = projection.live(index.target)
            for action in index.actions:
                if action.kind is ActionKind.RELEASE and record is not None:
                    for portion in frames(release_events(record, action.ids, action.reason)):
                        self._run.append(portion)
                    self.done.released += len(action.ids)

    def _send(self, works: list[TargetWork]) -> None:
        if not any(work.ids for work in works):
            return
        done = self.done
        with self._context.dispatcher(self._budget) as dispatcher:
            applier = Applier(
                self._run,
                self._client,
                dispatcher,
                self._context.clock,
                batch_size=self._context.config.api.batch_size,
                next_batch=self._run.fold.next_batch,
                notify=self._notify,
                threads=self._context.threads,
            )
            self._interrupts.on_request(applier.stop)
            done.sent = applier.send(works)
        self._counted = self._budget.started
        done.error = done.sent.fatal
        for target, result in done.sent.by_target.items():
            if isinstance(result.error, IndexNotFound):
                done.blocked[target] = result.error

    def _sent_something(self, target: Target) -> bool:
        result = self.done.sent.by_target.get(target)
        return result is not None and result.accepted > 0


def release_events(record: TargetRecord, ids: IdSet, reason: str) -> Iterator[Released]:
    """Events that release `ids`: whole batches by their numbers, the rest by name."""
    whole, covered = Own(record).whole(ids)
    if whole:
        yield Released(record.number, reason, batches=ranges(whole))
    for chunk in (ids - covered).chunks(IDS_AN_EVENT):
        yield Released(record.number, reason, ids=chunk)


def missing_index(target: Target) -> IndexNotFound:
    """The error for an index that the plan found missing."""
    return IndexNotFound(
        f"{target}: the index does not exist", hint="Correct its name, or remove its declarations if it is gone."
    )


def blocking_errors(done: Execution) -> tuple[ReconcilerError, ...]:
    """Everything that kept a target from its end, each once."""
    settled = {} if done.settled is None else done.settled.by_target
    found: list[ReconcilerError | None] = [
        done.error,
        *done.blocked.values(),
        *(result.error for result in done.sent.by_target.values()),
        *(result.error for result in settled.values()),
    ]
    return tuple(dict.fromkeys(each for each in found if each is not None))

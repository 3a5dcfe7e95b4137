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
from reconciler.model.desired import Declaration, DesiredTarget, Keep
from reconciler.model.diagnostic import error
from reconciler.model.idset import IdSet
from reconciler.model.notices import Problem, Sink
from reconciler.model.plan import ActionKind, IndexPlan
from reconciler.model.target import Target
from reconciler.model.tombstones import DeclarationRecord, Projection, Status, TargetRecord
from reconciler.observer import Observer
from reconciler.operations.context import Context
from reconciler.operations.interrupts import Interrupts
from reconciler.operations.planning import Planned, listed_first
from reconciler.settler import Groups, Settlement, Settler
from reconciler.settler.naming import IDS_AN_EVENT, frames, ranges, whole_batches
from reconciler.state.events import Declared, Event, LeaseRenewed, Released, TargetSeen
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
        unproven: ids found absent and not sent, which nobody has read again: the next plan looks at them again.
        error: what ended it early; None when it came to its end.
    """

    sent: SendResult = field(default_factory=SendResult)
    settled: Settlement | None = None
    blocked: dict[Target, ReconcilerError] = field(default_factory=dict)
    released: int = 0
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
        pins: dict[Target, str] = {}
        unreachable = False
        for index in indexes:
            sends = index.to_send or index.ids(ActionKind.ALREADY_ABSENT)
            if index.target in self.done.blocked or not (sends or listed_first(projection, index)):
                continue
            record = projection.live(index.target)
            known = index.created_on or (None if record is None else record.created_on)
            approved = index.observed_created_on or known
            try:
                created_on = observer.created_on(index.target)
            except (AuthenticationFailed, PermissionDenied):
                raise
            except ServiceError as failed:
                if unreachable and isinstance(failed, ConnectionFailed):
                    raise  # the second in a row: thousands more would be waited for in vain
                unreachable = isinstance(failed, ConnectionFailed)
                self._block(index.target, failed)
                continue
            unreachable = False
            if approved is not None and created_on != approved:
                why = f"{index.target}: the index was deleted and created again ({approved} → {created_on})"
                hint = "Nothing was sent to it. plan --refresh shows what is declared of the new one."
                self._block(index.target, ReconcilerError(why, hint=hint))
                continue
            pins[index.target] = created_on
        return pins

    def _block(self, target: Target, why: ReconcilerError) -> None:
        self.done.blocked[target] = why
        self._notify(Problem(error("target-blocked", why.message, why.hint)))

    def _record_intentions(
        self, planned: Planned, pins: Mapping[Target, str], skip: Mapping[Target, IdSet]
    ) -> tuple[list[TargetWork], dict[Target, Groups]]:
        """Targets and declarations get their numbers in the log; what to send is checked against the manifests."""
        book = _Book(self._context, self._run.snapshot())
        works: list[TargetWork] = []
        absent: dict[Target, Groups] = {}
        for index in planned.plan.indexes:
            target = index.target
            if target not in pins:
                continue
            number = book.target(target, pins[target])
            declared = planned.desired.of(target)
            declarations = book.declarations(number, declared, index)
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
            self._run.append([*book.events, LeaseRenewed(self.uncounted)])
            self._counted = self._budget.started
        return works, absent

    def _settled_since(self, target: Target) -> IdSet:
        """Ids that an earlier run of this plan has proven, or sent as a barrier."""
        record = self._run.snapshot().live(target)
        return IdSet() if record is None else record.ids(Status.VERIFIED, Status.ACCEPTED, Status.PROCESSED)

    def _release(self, indexes: list[IndexPlan]) -> None:
        for index in indexes:
            if index.target in self.done.blocked:
                continue
            for action in index.actions:
                record = self._run.snapshot().live(index.target)
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
                next_batch=self._run.snapshot().next_batch,
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


class _Book:
    """Gives numbers to targets and declarations that the log does not know yet."""

    def __init__(self, context: Context, projection: Projection) -> None:
        self._context = context
        self._projection = projection
        self._next_target = max(projection.targets, default=0) + 1
        self._next_declaration = max(projection.declarations, default=0) + 1
        self.events: list[Event] = []

    def target(self, target: Target, created_on: str) -> int:
        """The number of `target`; an event when it is new, not pinned yet, or re-created."""
        record = self._projection.live(target)
        if record is not None and record.created_on == created_on:
            return record.number
        number = record.number if record is not None and record.created_on is None else self._next_target
        if number == self._next_target:
            self._next_target += 1
        self.events.append(TargetSeen(number, target.origin, target.account_id, target.index, created_on))
        return number

    def declarations(self, number: int, declared: DesiredTarget, index: IndexPlan) -> dict[int, IdSet]:
        """The ids of each declaration of a target by its number; an event for each that is new or changed."""
        known = {(d.manifest, d.ordinal): d for d in self._projection.declared(number)}
        sending = IdSet.union(
            action.ids for action in index.actions if action.kind.sends or action.kind is ActionKind.ALREADY_ABSENT
        )
        numbered: dict[int, IdSet] = {}
        for declaration in (*declared.declarations, *declared.lapsed):
            prefixes = [sending.starting_with(prefix.text) for prefix in declaration.prefixes]
            ids = IdSet.union([declaration.ids, *prefixes])
            listed = bool(declaration.prefixes) and declaration in declared.declarations
            if ids or listed:
                numbered[self._declaration(number, declaration, index, known, declared.keeps)] = ids
        return numbered

    def _declaration(
        self,
        number: int,
        declaration: Declaration,
        index: IndexPlan,
        known: Mapping[tuple[str, int], DeclarationRecord],
        keeps: tuple[Keep, ...],
    ) -> int:
        limits = self._context.config.limits.of(index.target.index).as_dict()
        prefixes = [
            {"text": plan.text, "count": plan.count, "digest": plan.digest, **_kept(keeps, plan.text)}
            for plan in index.prefixes
            if plan.path == declaration.manifest and plan.text in {p.text for p in declaration.prefixes}
        ]
        before = known.get((declaration.manifest, declaration.ordinal))
        if (
            before is not None
            and before.document() == declaration.document()
            and dict(before.limits) == limits
            and list(before.prefixes) == prefixes
        ):
            return before.number
        fresh = self._next_declaration
        self._next_declaration += 1
        self.events.append(
            Declared(
                declaration=fresh,
                target=number,
                manifest=declaration.manifest,
                line=declaration.position.line,
                ordinal=declaration.ordinal,
                reason=declaration.reason,
                until=None if declaration.until is None else declaration.until.isoformat(),
                sources=[source.document() for source in declaration.sources],
                prefixes=prefixes,
                limits=limits,
            )
        )
        return fresh


def _kept(keeps: tuple[Keep, ...], prefix: str) -> dict[str, dict[str, list[str]]]:
    """What protects ids that begin with `prefix`: `verify --all` knows the state alone."""
    prefixes = {each.text for keep in keeps for each in keep.prefixes}
    near = sorted(text for text in prefixes if text.startswith(prefix) or prefix.startswith(text))
    ids = list(IdSet.union(keep.ids.starting_with(prefix) for keep in keeps))
    return {"keeps": {"prefixes": near, "ids": ids}} if near or ids else {}


def release_events(record: TargetRecord, ids: IdSet, reason: str) -> Iterator[Released]:
    """Events that release `ids`: whole batches by their numbers, the rest by name."""
    whole, covered = whole_batches(record, ids)
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

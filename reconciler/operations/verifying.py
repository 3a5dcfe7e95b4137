"""`verify`: settle what is pending, from the state alone, in any later process. Never deletes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reconciler import __version__
from reconciler.errors import ExitCode, ReconcilerError, StateMissing, worst_exit_code
from reconciler.model.idset import IdSet
from reconciler.model.notices import Problem, RunBegan, Sink, ignore
from reconciler.model.target import Target
from reconciler.model.tombstones import Projection, Status, TargetRecord
from reconciler.observer import Observer
from reconciler.operations.context import Context
from reconciler.operations.interrupts import Interrupts
from reconciler.operations.planning import store_warnings
from reconciler.settler import Audit, Settlement, Settler
from reconciler.state.chain import walk
from reconciler.state.journal import Journal
from reconciler.state.proofs import Proof, proofs_of, read
from reconciler.state.reading import keep_projection
from reconciler.state.run import Run, whoami
from reconciler.state.stores.interface import Store

#: Reappeared ids of an index that are named with their history; the state has it for every one.
NAMED = 20


@dataclass(frozen=True)
class VerifyResult:
    """What a verify found. All counts are ids unless they say otherwise.

    Attributes:
        head: `position:hash` of the state at the end.
        verified: a read found them missing.
        pending: accepted or processed, not verified.
        unresolved: an intent without an answer: no read can prove them, the next apply sends them again.
        reappeared: present, though they should be gone: by target, those found now and those known before.
        requests: API requests made.
        errors: everything that kept an index from its end.
        proofs: when the first `NAMED` reappeared ids of each index were proven absent, by which read, after which
            mutation, and where they are declared. An id that never was is not in it.
    """

    head: str
    verified: int = 0
    pending: int = 0
    unresolved: int = 0
    reappeared: tuple[tuple[Target, IdSet], ...] = ()
    requests: int = 0
    errors: tuple[ReconcilerError, ...] = ()
    exit_code: ExitCode = ExitCode.DONE
    proofs: Mapping[Target, Mapping[str, Proof]] = field(default_factory=dict)


def verify(
    context: Context,
    *,
    audit: bool = False,
    timeout: float = 600.0,
    lock_timeout: float = 0.0,
    notify: Sink = ignore,
    interrupts: Interrupts | None = None,
) -> VerifyResult:
    """Prove by reading that what was deleted is gone.

    Args:
        context: see Context.
        audit: read every tombstone again, those verified before too.
        timeout: seconds to wait for what is pending.
        lock_timeout: seconds to wait for another run to let go of the state.
        notify: told what happens.
        interrupts: how it is asked to stop.

    Raises:
        StateMissing: there is no state.
        StateError, ServiceError: it could not be read or written.
    """
    stop = interrupts or Interrupts()
    store = context.store()
    try:
        if not store.exists():
            raise StateMissing(
                f"there is no state at {store.url}",
                hint="Nothing was deleted from here, or --state is another one.",
            )
        journal = Journal(store, context.clock)
        projection = journal.load()
        records = _records(projection, _audit(context, projection) if audit else None)
        journal.require_writable()
        if not records:
            result = _result(journal.projection(), journal.head, Settlement(), 0, interrupted=False)
            return replace(result, proofs=_proofs(store, result.reappeared))
        context.require_credentials()
        run, _ = Run.start(
            journal,
            context.clock,
            command="verify",
            tool_version=__version__,
            origin=context.origin,
            fingerprint="",
            prepare=lambda projection: projection,
            lock_timeout=lock_timeout,
            on_wait=lambda holder, left: stop.waiting(notify, holder, left),
            **whoami(context.environment),
        )
        settlement, outcome = Settlement(), "failed"
        try:
            notify(RunBegan(run.run, run.took_over))
            for found in store_warnings(store):
                notify(Problem(found))
            budget = context.budget(run.snapshot())
            with context.client(budget) as client, context.dispatcher(budget) as reads:
                observer = Observer(client, reads, context.clock)
                settler = Settler(run, observer, reads, context.clock, timeout=timeout, notify=notify)
                stop.on_request(settler.stop)
                snapshot = run.snapshot()
                extra = _audit(context, snapshot) if audit else None
                settlement = settler.settle(_records(snapshot, extra), audit=extra)
            outcome = _outcome(settlement)
        finally:
            counts = {"verified": settlement.verified, "reappeared": settlement.reappeared}
            run.finish("interrupted" if stop.requested else outcome, counts, settlement.requests)
        keep_projection(journal, context.cache)
        result = _result(run.snapshot(), run.head, settlement, budget.started, interrupted=stop.requested)
        return replace(result, proofs=_proofs(store, result.reappeared))
    finally:
        store.close()


def _proofs(store: Store, reappeared: tuple[tuple[Target, IdSet], ...]) -> dict[Target, Mapping[str, Proof]]:
    """Reads the log once more, where there is something to tell."""
    if not reappeared:
        return {}
    log = read(walk(store.read(0)))
    records = {target: log.target(target) for target, _ in reappeared}
    return {
        target: proofs_of(log, record, IdSet.of(ids.first(NAMED)))
        for target, ids in reappeared
        if (record := records[target]) is not None
    }


def _outcome(settlement: Settlement) -> str:
    if settlement.errors:
        return "failed"
    return "not-settled" if settlement.pending else "done"


def _audit(context: Context, projection: Projection) -> Audit:
    """What the drift audit reads beside the tombstones: what was released of late, and the prefixes."""
    now = context.clock.now()
    live = [record for record in projection.targets.values() if not record.closed]
    recheck = context.config.recheck
    return Audit(
        released={r.number: r.released_since(now - recheck) for r in live} if recheck else {},
        promises={r.number: projection.promises(r, now.date()) for r in live},
    )


def _records(projection: Projection, audit: Audit | None) -> list[TargetRecord]:
    """The targets that there is something to read of."""
    statuses = [Status.ACCEPTED, Status.PROCESSED]
    if audit is None:
        return [r for r in projection.targets.values() if not r.closed and r.ids(*statuses)]
    statuses += [Status.VERIFIED, Status.REAPPEARED]
    return [
        r
        for r in projection.targets.values()
        if not r.closed and (r.ids(*statuses) or audit.released.get(r.number) or audit.promises.get(r.number))
    ]


def _result(
    projection: Projection, head: str, settlement: Settlement, requests: int, *, interrupted: bool
) -> VerifyResult:
    live = [record for record in projection.targets.values() if not record.closed]
    reappeared = tuple((r.target, r.ids(Status.REAPPEARED)) for r in live if r.ids(Status.REAPPEARED))
    unresolved = sum(len(r.ids(Status.UNRESOLVED)) for r in live)
    errors = settlement.errors
    codes = [error.exit_code for error in errors]
    if unresolved:
        codes.append(ExitCode.ERROR)  # an unknown outcome is never success
    if interrupted:
        codes.append(ExitCode.INTERRUPTED)
    if reappeared:
        codes.append(ExitCode.FOUND)
    if settlement.pending:
        codes.append(ExitCode.NOT_SETTLED)
    return VerifyResult(
        head=head,
        verified=settlement.verified,
        pending=settlement.pending,
        unresolved=unresolved,
        reappeared=reappeared,
        requests=requests,
        errors=errors,
        exit_code=worst_exit_code(*codes),
    )

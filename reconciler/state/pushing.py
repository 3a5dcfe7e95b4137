"""Outcomes that a run could not record find their way into the log after all.

What the service answered to a batch (a mutation id, a refusal) nobody can learn again: it is recorded at the head,
in a run of its own. What was read (processed, verified, reappeared) is left out: it was true then, other things
may have happened since, and `verify` reads again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reconciler.clock import Clock
from reconciler.errors import StateError, StateMismatch
from reconciler.model.tombstones import REJECTED, BatchRecord, Projection
from reconciler.state.events import Accepted, Event, Failed, RunFenced, RunFinished, RunStarted
from reconciler.state.identity import Who, printable
from reconciler.state.journal import Journal
from reconciler.state.run import Run
from reconciler.state.unsaved import Unsaved

#: Events a frame.
_PORTION = 500


@dataclass(frozen=True, slots=True)
class Pushed:
    """What came of a push. Counts are events.

    Attributes:
        recorded: new in the log.
        known: the log had them already.
        reads: results of reads, which are not recorded late.
        head: `POS:HASH` afterwards.
    """

    recorded: int
    known: int
    reads: int
    head: str


def push(
    journal: Journal,
    rows: Sequence[Unsaved],
    clock: Clock,
    who: Who,
    *,
    tool_version: str,
    lock_timeout: float = 0.0,
    on_wait: Callable[[str, float], None] | None = None,
) -> Pushed:
    """Record the outcomes of `rows` that the log of `journal` lacks.

    Raises:
        StateMismatch: they belong to another log.
        StateDamaged: the log does not hold what the run knew when it failed.
        StateError: they contradict the log; or as `Run.start` and `Run.append`.
    """
    journal.load()
    strange = sorted({row.lineage for row in rows} - {journal.fold.lineage})
    if strange:
        here = journal.fold.lineage or "empty"
        raise StateMismatch(
            f"these outcomes belong to the log {printable(strange[0])}, {journal.store.url} is {here}",
            hint="name the state they belong to with --state",
        )
    journal.require_writable()
    for head in sorted({row.head for row in rows}):
        journal.check_head(head)
    answers = [row.event for row in rows if isinstance(row.event, Accepted | Failed)]
    reads = len(rows) - len(answers)
    if not missing(journal.projection(), answers):
        return Pushed(0, len(answers), reads, journal.head)

    def prepare(projection: Projection) -> list[Event]:
        events = missing(projection, answers)
        _rehearse(journal, events)
        return events

    prepare(journal.projection())
    run, events = Run.start(
        journal,
        clock,
        command="state push",
        tool_version=tool_version,
        origin=journal.fold.origin or "",
        fingerprint="",
        prepare=prepare,
        lock_timeout=lock_timeout,
        on_wait=on_wait,
        **who,
    )
    outcome = "failed"
    try:
        for start in range(0, len(events), _PORTION):
            run.append(events[start : start + _PORTION])
        outcome = "done"
    finally:
        run.finish(outcome, {"pushed": len(events)})
    return Pushed(len(events), len(answers) - len(events), reads, run.head)


def _rehearse(journal: Journal, events: Sequence[Event]) -> None:
    """Nothing is begun that could not be ended: a run that fails half-way would hold the state."""
    holder = journal.fold.open_run
    fence = () if holder is None else (RunFenced(fenced=holder.run, by="", reason=""),)
    started = RunStarted(command="state push", origin=journal.fold.origin or "")
    journal.rehearse("rehearsal", (*fence, started, *events, RunFinished("done")))


def missing(projection: Projection, answers: Iterable[Event]) -> list[Event]:
    """Those of `answers`, in order, that the log lacks.

    Raises:
        StateError: a batch is not known to the log, or has another answer there.
    """
    batches = {batch.number: batch for target in projection.targets.values() for batch in target.batches}
    found: list[Event] = []
    for event in answers:
        if not isinstance(event, Accepted | Failed):
            continue
        batch = batches.get(event.batch)
        if batch is None:
            raise StateError(f"batch {event.batch} is not in the log", hint="nothing was recorded")
        if not _known(event, batch, found):
            found.append(event)
    return found


def _known(event: Accepted | Failed, batch: BatchRecord, before: Sequence[Event]) -> bool:
    """Does the log, or what is about to be recorded `before`, have this answer?"""
    if event in before:
        return True
    if isinstance(event, Failed):
        answered = batch.accepted is not None or batch.status == REJECTED
        return answered or 0 < event.attempt <= batch.attempts
    if batch.mutation_id == event.mutation_id:
        return True
    if batch.accepted is not None or batch.status == REJECTED:
        raise StateError(
            f"batch {event.batch} has another answer in the log than {printable(event.mutation_id)}",
            hint="nothing was recorded; keep the file",
        )
    return False

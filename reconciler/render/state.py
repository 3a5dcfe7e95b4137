"""The state, and the history of one id: as text for people, as JSON for machines. Streams, whatever the size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from reconciler.model.batches import own_ids
from reconciler.model.target import Target
from reconciler.model.tombstones import BatchRecord, Projection, RunRecord, Status, TargetRecord
from reconciler.render.escape import json_text, line, plain


class Happening(Protocol):
    """One thing that the log says of an id: an intent, an answer, a read."""

    @property
    def position(self) -> int:
        """Of the frame."""

    @property
    def at(self) -> str:
        """RFC 3339."""

    @property
    def run(self) -> str:
        """Who wrote it."""

    @property
    def what(self) -> str:
        """The kind of the event."""

    @property
    def target(self) -> Target:
        """The index."""

    @property
    def batch(self) -> int | None:
        """The batch that carried the id."""

    @property
    def mutation_id(self) -> str | None:
        """Of that batch."""

    @property
    def detail(self) -> Mapping[str, Any]:
        """What else the event says."""


def state_json(projection: Projection, *, index: str | None = None) -> Iterator[str]:
    """The document of `state show --format json`, in pieces; a mutation stands on a line of its own.

    Args:
        projection: the state.
        index: only indexes of this name; None for all.
    """
    yield "{\n"
    yield f'  "lineage": {json_text(projection.lineage)},\n'
    yield f'  "position": {projection.position},\n'
    yield f'  "head": {json_text(projection.head)},\n'
    yield '  "indexes": ['
    before = "\n"
    for record in records_of(projection, index):
        yield before
        yield from _record_json(record)
        before = ",\n"
    yield "],\n" if before == "\n" else "\n  ],\n"
    yield f'  "origin": {json_text(projection.origin)},\n'
    yield f'  "moved_to": {json_text(projection.moved_to)},\n'
    yield f'  "open_run": {json_text(_run_document(projection.open_run))},\n'
    yield f'  "limits_ignored": {json_text(_ignored(projection))}\n'
    yield "}\n"


def state_text(projection: Projection, *, index: str | None = None) -> Iterator[str]:
    """The state in lines: who holds it, then each index with its counts and every mutation, in order of the log.

    Args:
        projection: the state.
        index: only indexes of this name; None for all.
    """
    yield f"Lineage: {plain(projection.lineage) or '(none)'}"
    yield f"Head: {projection.position}:{plain(projection.head)}"
    if projection.origin is not None:
        yield f"Origin: {plain(projection.origin)}"
    if projection.moved_to is not None:
        yield f"Moved to: {plain(projection.moved_to)}"
    run = projection.open_run
    if run is not None:
        yield f"Held by: {plain(_holder(run))}"
    for each in projection.limits_ignored:
        yield plain(f"Limits ignored: {each.at} by {each.who}: {each.why} (run {each.run})")
        for limit in each.limits:
            yield f"  {line(limit)}"
    for record in records_of(projection, index):
        yield ""
        yield from _record_text(record)


def history_text(entries: Iterable[Happening]) -> Iterator[str]:
    """What happened to one id, a line each, in order of the log."""
    nothing = True
    for entry in entries:
        nothing = False
        mutation = "" if entry.mutation_id is None else f"  mutation {entry.mutation_id}"
        batch = "" if entry.batch is None else f"  batch {entry.batch}"
        detail = "".join(f"  {name}: {detail_words(value)}" for name, value in entry.detail.items())
        said = f"{entry.at}  {entry.what}  {entry.target}{batch}{mutation}{detail}  run {entry.run}"
        yield f"{entry.position}  {plain(said)}"
    if nothing:
        yield "The state does not know this id."


def history_json(entries: Iterable[Happening]) -> Iterator[str]:
    """What happened to one id, as `{"history": […]}`, in pieces."""
    yield '{\n  "history": ['
    before = "\n"
    for entry in entries:
        document = {
            "position": entry.position,
            "at": entry.at,
            "run": entry.run,
            "what": entry.what,
            "account_id": entry.target.account_id,
            "index": entry.target.index,
            "batch": entry.batch,
            "mutation_id": entry.mutation_id,
            "detail": dict(entry.detail),
        }
        yield f"{before}    {json_text(document)}"
        before = ",\n"
    yield "]\n}\n" if before == "\n" else "\n  ]\n}\n"


def records_of(projection: Projection, index: str | None) -> list[TargetRecord]:
    """By target; what is in force before the history of an index that was created again."""
    chosen = [each for each in projection.targets.values() if index in (None, each.target.index)]
    return sorted(chosen, key=lambda each: (each.target, each.closed, each.number))


def _counts(record: TargetRecord) -> dict[str, int]:
    return {status.value: len(record.ids(status)) for status in Status}


def _record_json(record: TargetRecord) -> Iterator[str]:
    target = record.target
    yield "    {\n"
    yield f'      "account_id": {json_text(target.account_id)},\n'
    yield f'      "index": {json_text(target.index)},\n'
    yield f'      "counts": {json_text(_counts(record))},\n'
    yield '      "mutations": ['
    before = "\n"
    statuses = mutation_statuses(record)
    for batch in record.batches:
        document = {
            "mutation_id": batch.mutation_id,
            "status": statuses[batch.number],
            "submitted_at": batch.submitted_at,
            "ids": list(batch.ids),
            "batch": batch.number,
            "run": batch.run,
            "attempts": batch.attempts,
            "accepted_at": batch.accepted_at,
            "processed_at": batch.processed_at,
            "settled_at": batch.settled_at or None,
        }
        yield f"{before}        {json_text(document)}"
        before = ",\n"
    yield "],\n" if before == "\n" else "\n      ],\n"
    yield f'      "origin": {json_text(target.origin)},\n'
    yield f'      "created_on": {json_text(record.created_on)},\n'
    yield f'      "closed": {json_text(record.closed)}\n'
    yield "    }"


def _run_document(run: RunRecord | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "run": run.run,
        "command": run.command,
        "actor": run.actor,
        "host": run.host,
        "pid": run.pid,
        "job": run.job,
        "fingerprint": run.fingerprint,
        "started_at": run.started_at,
        "last_frame_at": run.last_frame_at,
        "lease_seconds": run.lease_seconds,
    }


def _ignored(projection: Projection) -> list[dict[str, Any]]:
    return [
        {"run": each.run, "at": each.at, "who": each.who, "why": each.why, "limits": list(each.limits)}
        for each in projection.limits_ignored
    ]


def _holder(run: RunRecord) -> str:
    job = f", job {run.job}" if run.job else ""
    return (
        f"run {run.run} ({run.command}) of {run.actor} on {run.host}, process {run.pid}{job}, "
        f"since {run.started_at}, last heard of {run.last_frame_at}"
    )


def _record_text(record: TargetRecord) -> Iterator[str]:
    pin = "" if record.created_on is None else f", created {record.created_on}"
    history = " (history: the index was created again since)" if record.closed else ""
    yield line(f"{record.target}{pin}") + history
    yield "  " + ", ".join(f"{count:,} {status}" for status, count in _counts(record).items())
    statuses = mutation_statuses(record)
    for batch in record.batches:
        yield f"  {_batch_text(batch, statuses[batch.number])}"


def mutation_statuses(record: TargetRecord) -> dict[int, str]:
    """The status of each batch by its number. One that left ids unverified is not called verified."""
    statuses = {batch.number: str(batch.status) for batch in record.batches}
    if unproven := record.ids(Status.ACCEPTED, Status.PROCESSED):
        # A batch is waited for by those of its ids that no later one names.
        for _, batch, own in own_ids(record.batches):
            if batch.status == Status.VERIFIED and not own.isdisjoint(unproven):
                statuses[batch.number] = str(Status.PROCESSED)
    return statuses


def _batch_text(batch: BatchRecord, status: str) -> str:
    ids = batch.ids
    first = ids.first(1)
    listed = f"{len(ids):,} ids from {first[0]}" if len(ids) > 1 else f"1 id {first[0]}" if first else "no ids"
    # The mutation id is what the service is asked about: whole, however long.
    return plain(f"mutation {batch.mutation_id or '(no answer)'}  {status}  {batch.submitted_at}  {listed}")


def detail_words(value: Any) -> str:
    """A value of a happening's detail, for people."""
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return "yes" if value is True else "no" if value is False else str(value)

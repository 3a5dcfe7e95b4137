"""The state as a page for operators and auditors: what is open, what came back, each mutation with its times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from reconciler.clock import timestamp
from reconciler.model.idset import IdSet
from reconciler.model.tombstones import BatchRecord, Projection, RunRecord, Status, TargetRecord
from reconciler.render.html.groups import Group, groups_of
from reconciler.render.html.ids import PAGE_IDS, Carried
from reconciler.render.html.page import Fact, Tile, Verdict, count, moment, render
from reconciler.render.state import Happening, detail_words, mutation_statuses, records_of

#: Mutations in one table: so many are looked through at once.
_MUTATIONS = 100

#: Mutations of the whole page up to which their tables stand open.
_OPEN = 20

#: Statuses of ids that are not proven absent and did not come back, with what they mean.
_OPEN_STATUSES = {
    Status.UNRESOLVED: "sent without a known answer, for the next apply to send again",
    Status.ACCEPTED: "accepted, not known to be processed",
    Status.PROCESSED: "processed, not found absent yet",
}

_SYMBOLS = {
    Status.UNRESOLVED: "?",
    Status.ACCEPTED: "~",
    Status.PROCESSED: "~",
    Status.VERIFIED: "=",
    Status.REAPPEARED: "!",
    Status.RELEASED: ".",
}


@dataclass(frozen=True, slots=True)
class IdsView:
    """Ids of one index and one status. `mutations`: those that sent them last, and how many of them each."""

    status: str
    symbol: str
    count: int
    what: str
    groups: tuple[Group, ...]
    mutations: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class IndexIds:
    """An index, and ids of it."""

    name: str
    account: str
    parts: tuple[IdsView, ...]


@dataclass(frozen=True, slots=True)
class MutationView:
    """A row of the timeline. Times are "" while there is none; `since` is of a status that has no column.

    `example` is the first of its ids.
    """

    anchor: str
    entry: int
    batch: int
    mutation_id: str
    status: str
    since: str
    submitted: str
    accepted: str
    processed: str
    verified: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class TableView:
    """Mutations of one run, the newest first."""

    title: str
    said: str
    open: bool
    mutations: tuple[MutationView, ...]


@dataclass(frozen=True, slots=True)
class IndexMutations:
    """An index and its mutations. `silent`: ids with a record that no mutation of the log named."""

    anchor: str
    name: str
    closed: bool
    said: str
    facts: tuple[Fact, ...]
    tables: Iterable[TableView]
    silent: tuple[Group, ...]
    silent_count: int


def state_page(
    projection: Projection,
    *,
    store: str,
    tool_version: str,
    created_at: datetime,
    index: str | None = None,
    limit: int = PAGE_IDS,
) -> Iterator[str]:
    """The page, in pieces of ASCII.

    Args:
        projection: the state.
        store: its address, without credentials.
        tool_version, created_at: of the program that makes the page, and when.
        index: only indexes of this name; None for all.
        limit: ids that the page carries at most; groups, counts and mutations are complete beyond that too.
    """
    records = records_of(projection, index)
    live = [each for each in records if not each.closed]
    counts = {status: sum(len(each.ids(status)) for each in live) for status in Status}
    carried = Carried(limit)
    mutations = sum(len(each.batches) for each in records)
    silent = {each.number: _silent(each) for each in records}
    runs = {each.run: each for each in projection.runs}
    return render(
        "state.html",
        verdict=_verdict(projection, counts),
        tiles=[Tile(each.value, _SYMBOLS[each], each.value.capitalize(), counts[each]) for each in Status],
        back=tuple(_back(live, carried)),
        still=tuple(_still(live, carried)),
        statuses=[status.value for status in Status],
        rows=[_row(number, each) for number, each in enumerate(records, 1)],
        closed=any(each.closed for each in records),
        mutations=mutations,
        total=sum(len(batch.ids) for each in records for batch in each.batches) + sum(map(len, silent.values())),
        limit=limit,
        sections=(
            _section(number, each, silent[each.number], runs, carried, unfold=mutations <= _OPEN)
            for number, each in enumerate(records, 1)
        ),
        facts=tuple(
            _facts(projection, store=store, tool_version=tool_version, created_at=created_at, index=index)
        ),
        carried=carried,
    )


def history_page(
    entries: Iterable[Happening], *, id_: str, tool_version: str, created_at: datetime
) -> Iterator[str]:
    """What happened to the id `id_`, as a page: see `state.history_text`."""
    return render(
        "history.html",
        id=id_,
        made=f"{timestamp(created_at)} by reconciler {tool_version}",
        entries=[(each, [(name, detail_words(value)) for name, value in each.detail.items()]) for each in entries],
    )


def _verdict(projection: Projection, counts: Mapping[Status, int]) -> Verdict:
    if not projection.lineage:
        return Verdict("calm", "Empty", "There is no state here, or it is empty", ())
    moved = () if projection.moved_to is None else (f"It was moved to {projection.moved_to}: this is history.",)
    total = sum(counts.values()) - counts[Status.RELEASED]
    waiting = sum(counts[status] for status in _OPEN_STATUSES)
    if number := counts[Status.REAPPEARED]:
        be = "is" if number == 1 else "are"
        rest = (f"{count(waiting)} not verified absent yet.",) if waiting else ()
        return Verdict("bad", "Present again", f"{count(number)} {be} present that should be gone", rest + moved)
    if waiting:
        be = "is" if waiting == 1 else "are"
        return Verdict("calm", "Open", f"{waiting:,} of {count(total)} {be} not verified absent yet", moved)
    if total:
        said = "Ids can come back: verify --all reads them again."
        title = "The id was found absent" if total == 1 else f"All {count(total)} were found absent"
        return Verdict("good", "Verified", f"{title} when last read", (said, *moved))
    return Verdict("calm", "Nothing open", "No id is recorded as declared absent", moved)


def _back(records: Sequence[TargetRecord], carried: Carried) -> Iterator[IndexIds]:
    what = {Status.REAPPEARED: "present again, for the next apply to delete"}
    return _index_ids("back", what, records, carried)


def _still(records: Sequence[TargetRecord], carried: Carried) -> Iterator[IndexIds]:
    return _index_ids("open", _OPEN_STATUSES, records, carried)


def _index_ids(
    anchor: str, means: Mapping[Status, str], records: Sequence[TargetRecord], carried: Carried
) -> Iterator[IndexIds]:
    """The indexes that have ids of the statuses in `means`, with these."""
    for number, record in enumerate(records, 1):
        parts = []
        for status, what in means.items():
            if ids := record.ids(status):
                name = f"{anchor}-{number}"
                groups = tuple(groups_of(ids, anchor=name, where=status.value, carried=carried, searched=False))
                last = tuple(_last_sent(record, ids)) if status is Status.REAPPEARED else ()
                parts.append(IdsView(status.value, _SYMBOLS[status], len(ids), what, groups, last))
        if parts:
            yield IndexIds(record.target.index, record.target.account_id, tuple(parts))


def _last_sent(record: TargetRecord, ids: IdSet) -> Iterator[tuple[str, str, int]]:
    """(mutation id, when it was submitted, how many of `ids` it was the last to name), the newest first."""
    left = ids
    for batch in reversed(record.batches):
        if not left:
            return
        if batch.mutation_id is not None and (mine := batch.ids & left):
            left -= mine
            yield batch.mutation_id, batch.submitted_at, len(mine)


def _row(number: int, record: TargetRecord) -> tuple[str, str, str, bool, list[int]]:
    counts = [len(record.ids(status)) for status in Status]
    return f"index-{number}", record.target.index, record.target.account_id, record.closed, counts


def _silent(record: TargetRecord) -> IdSet:
    """Ids with a record that no mutation named: they were found absent before they were sent."""
    if not record.by_status:
        return IdSet()
    return record.ids(*Status) - IdSet.union(batch.ids for batch in record.batches)


def _section(
    number: int,
    record: TargetRecord,
    silent: IdSet,
    runs: Mapping[str, RunRecord],
    carried: Carried,
    *,
    unfold: bool,
) -> IndexMutations:
    anchor = f"index-{number}"
    statuses = mutation_statuses(record)
    facts = [Fact("Account", record.target.account_id, code=True)]
    if record.created_on is not None:
        facts.append(Fact("Created on", record.created_on, code=True))
    where = f"never sent \N{MIDDLE DOT} {record.target.index}"
    groups = tuple(groups_of(silent, anchor=anchor, where=where, carried=carried))
    return IndexMutations(
        anchor,
        record.target.index,
        record.closed,
        _counted(statuses.values()),
        tuple(facts),
        _tables(number, record, runs, statuses, carried, unfold=unfold),
        groups,
        len(silent),
    )


def _counted(statuses: Iterable[str]) -> str:
    counts = Counter(statuses)
    each = (f"{number:,} {status}" for status, number in sorted(counts.items()))
    return ", ".join((count(counts.total(), "mutation"), *each))


def _tables(
    number: int,
    record: TargetRecord,
    runs: Mapping[str, RunRecord],
    statuses: Mapping[int, str],
    carried: Carried,
    *,
    unfold: bool,
) -> Iterator[TableView]:
    for run, sent in groupby(reversed(record.batches), key=lambda batch: batch.run):
        batches = list(sent)
        known = runs.get(run)
        name = f"{known.command} by {known.actor}, run {run}" if known is not None else f"run {run}"
        for first in range(0, len(batches), _MUTATIONS):
            part = batches[first : first + _MUTATIONS]
            span = dict.fromkeys((moment(part[-1].submitted_at), moment(part[0].submitted_at)))
            said = f"{' to '.join(span)}: {_counted(statuses[batch.number] for batch in part)}"
            rows = tuple(_mutation(number, record, batch, statuses[batch.number], carried) for batch in part)
            yield TableView(name, said, unfold, rows)


def _mutation(
    number: int, record: TargetRecord, batch: BatchRecord, status: str, carried: Carried
) -> MutationView:
    anchor, entry, ids = f"mutation-{number}-{batch.number}", len(carried.entries), batch.ids
    where = f"{record.target.index} \N{MIDDLE DOT} {batch.mutation_id or 'no answer'}"
    now = ((each.value, ids & held) for each, held in record.by_status.items() if each.value != status)
    others = tuple((each, part) for each, part in now if part)
    carried.add(anchor, where, ids, len(ids), key=batch.mutation_id or "", status=status, now=others)
    timed = status in (*_OPEN_STATUSES, Status.VERIFIED)
    return MutationView(
        anchor,
        entry,
        batch.number,
        batch.mutation_id or "",
        status,
        "" if timed else moment(batch.settled_at),
        moment(batch.submitted_at),
        moment(batch.accepted_at),
        moment(batch.processed_at),
        moment(batch.settled_at) if status == Status.VERIFIED else "",
        len(ids),
        next(iter(ids), ""),
    )


def _facts(
    projection: Projection, *, store: str, tool_version: str, created_at: datetime, index: str | None
) -> Iterator[Fact]:
    yield Fact("Page made", f"{timestamp(created_at)} by reconciler {tool_version}")
    yield Fact("Store", store, code=True)
    if index is not None:
        yield Fact("Only the index", index, code=True)
    yield Fact("Lineage", projection.lineage or "none", code=True)
    yield Fact("Head", f"{projection.position}:{projection.head}", code=True)
    if projection.origin is not None:
        yield Fact("API origin", projection.origin, code=True)
    if projection.moved_to is not None:
        yield Fact("Moved to", projection.moved_to, code=True)
    run = projection.open_run
    if run is None:
        yield Fact("Held by", "no run")
        return
    yield Fact("Held by run", run.run, code=True)
    job = f", job {run.job}" if run.job else ""
    yield Fact("Which is", f"{run.command} of {run.actor} on {run.host}, process {run.pid}{job}")
    yield Fact("Since", f"{run.started_at}, last heard of {run.last_frame_at}")

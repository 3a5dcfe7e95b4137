"""What a report says of sets of ids, against its definition id by id: on logs in which anything may follow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model import chunks, kept
from reconciler.model.idset import IdSet
from reconciler.model.tombstones import REJECTED, Status
from reconciler.state import events as ev
from reconciler.state import stories
from reconciler.state.entries import entries_of
from reconciler.state.proofs import proofs_of, read
from reconciler.state.report import _About, report_of
from support.logs import POOL, LogWriter, random_log


@pytest.fixture(autouse=True, params=["few", "many"])
def however_many(request, monkeypatch):
    """Few ids are looked for in the log; for many it is sorted, here in tiny pieces and without room."""
    if request.param == "many":
        monkeypatch.setattr(stories, "_FEW", -1)
        monkeypatch.setattr(stories, "_REMEMBERED", 1)
        monkeypatch.setattr(chunks, "CHUNK_BYTES", 12)
        monkeypatch.setattr(kept, "SCRATCH_ABOVE", 0)


@dataclass
class Known:
    """What a log says of one id. `carriers`: batches that named it and were not refused, up to here."""

    carriers: list[int] = field(default_factory=list)
    last: tuple | None = None
    since: str = ""
    back: str | None = None
    released: bool = False

    def take(self, id_, frame, event, final):
        """Take in one event."""
        if isinstance(event, ev.Intent) and id_ in event.ids:
            self.carriers.append(event.batch)
            self.released = False
        elif isinstance(event, ev.Failed) and event is final.get(event.batch) and event.batch in self.carriers:
            self.carriers.remove(event.batch)
        elif isinstance(event, ev.Verified | ev.Reappeared | ev.Released):
            batches = {n for first, last in getattr(event, "batches", ()) for n in range(first, last + 1)}
            whole = not self.released and bool(self.carriers) and self.carriers[-1] in batches
            if id_ in event.ids or (whole and id_ not in getattr(event, "except_ids", ())):
                self._read(frame, event)

    def _read(self, frame, event):
        self.released = isinstance(event, ev.Released)
        if isinstance(event, ev.Verified):
            self.since = frame.at if self.last is None or self.back else self.since
            carrier = self.carriers[-1] if self.carriers else None
            self.last, self.back = (frame.position, frame.at, event.how, carrier), None
        elif isinstance(event, ev.Reappeared):
            self.back = frame.at


def known(frames, record):
    """By id of the pool."""
    final: dict[int, ev.Failed] = {}
    refused = {batch.number for batch in record.batches if batch.status == REJECTED}
    events = [
        (frame, event)
        for frame in frames
        for event in frame.events
        if getattr(event, "target", record.number) == record.number
    ]
    final = {e.batch: e for _, e in events if isinstance(e, ev.Failed) and e.batch in refused}
    found = {id_: Known() for id_ in POOL}
    for frame, event in events:
        for id_, each in found.items():
            each.take(id_, frame, event, final)
    return found


def proven(ids, story):
    read_ = [story[id_] for id_ in ids if story[id_].last]
    since, last = {each.since for each in read_}, {each.last[1] for each in read_}
    how = Counter(each.last[2] for each in read_)
    return (
        len(ids),
        tuple(sorted(how.items())),
        min(since, default=None),
        max(since, default=None),
        max(last, default=None),
    )


def back(ids, story):
    groups: dict[tuple, list[str]] = {}
    for id_ in ids:
        each = story[id_]
        last = each.last and (each.last[0], each.since, each.last[3])
        groups.setdefault((each.back, last), []).append(id_)
    return [(found, *key) for key, found in groups.items()]


def mutations(each, numbers, record, story):
    waiting = set(record.ids(Status.ACCEPTED, Status.PROCESSED))
    for batch in record.batches:
        bears = [not numbers.isdisjoint(members) for members, _ in batch.declared]
        named = {
            i for yes, (_, ids) in zip(bears, batch.declared, strict=True) for i in ids if yes or i in each.shared
        }
        left = batch.status == Status.VERIFIED and any(
            id_ in waiting and story[id_].carriers[-1] == batch.number for id_ in named
        )
        if named:
            status = Status.PROCESSED if left else batch.status
            yield batch.mutation_id, str(status), batch.submitted_at, batch.accepted_at, len(named), batch.number


def check(log, record, each, entry, story):
    verified, reappeared = (each.by_status.get(s, IdSet()) for s in (Status.VERIFIED, Status.REAPPEARED))
    said = each.proven
    assert (said.ids, said.by_how, said.first_at, said.complete_at, said.last_at) == proven(verified, story)
    got = [
        (list(b.ids), b.seen_at, b.proof and (b.proof.position, b.proof.since, b.proof.batch)) for b in each.back
    ]
    assert got == back(reappeared, story)
    for group in each.back:
        if group.proof is not None:
            (first,) = group.ids.first(1)
            assert group.proof == proofs_of(log, record, IdSet.of([first]))[first]
    assert set(each.never_sent) == {i for i in verified if story[i].last and not story[i].carriers}
    released = set(_About(log, record, [entry])._named(entry).released)
    absent = {i for i in released if story[i].last and not story[i].back}
    assert each.unproven == (0 if each.withdrawn else len(released - absent))
    sent = [(m.mutation_id, m.status, m.submitted_at, m.accepted_at, m.ids, m.batch) for m in each.mutations]
    assert sent == list(mutations(each, entry.numbers, record, story))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms())
def test_what_a_report_says_of_sets_is_what_the_log_says_of_each_id(random):
    frames = random_log(random)
    log = read(frames)
    made = report_of(log)
    for number, record in log.projection.targets.items():
        story = known(frames, record)
        entries = {e.newest.number: e for e in entries_of(log.projection.declared(number), log.declared)}
        for each in made.declarations:
            if each.newest.target == number:
                check(log, record, each, entries[each.newest.number], story)
        found = proofs_of(log, record, IdSet.of([*POOL, "unknown"]))
        assert {i: (p.position, p.at, p.how, p.batch, p.since, p.back_at) for i, p in found.items()} == {
            i: (*s.last, s.since, s.back) for i, s in story.items() if s.last
        }
        declared = {i: numbers for numbers, part in record.by_declaration for i in part}
        assert all(tuple(d.number for d in p.declarations) == declared.get(i, ()) for i, p in found.items())


def test_a_request_that_left_ids_of_another_ticket_unproven_is_processed_for_both():
    log = LogWriter()
    log.add(ev.Header("l" * 32), run="")
    log.add(ev.RunStarted("apply", "loopback"), ev.TargetSeen(1, "loopback", "a" * 32, "docs"))
    log.add(
        ev.Declared(1, 1, "m.yaml", 1, 1, "first"), ev.Intent(1, 1, [[[1], 2]], ["a", "b"]), ev.Accepted(1, "m1")
    )
    log.add(ev.Verified(1, "get_by_ids", [[1, 1]], ["b"]))
    for number, id_ in ((2, "a"), (3, "b")):
        ids = IdSet.of([id_])
        names = {"count": 1, "digest": ids.digest()}
        log.add(ev.Declared(number, 1, "m.yaml", number, number, id_, names=names, held={"ids": list(ids)}))
    made = report_of(read(log.frames))
    found = {each.newest.reason: [(m.status, m.ids) for m in each.mutations] for each in made.declarations}
    assert found == {"first": [("processed", 2)], "a": [("verified", 1)], "b": [("processed", 1)]}


def test_the_log_is_gone_through_once_for_all_declarations(monkeypatch):
    passes = []
    told_of = stories.told_of
    monkeypatch.setattr("reconciler.state.report.told_of", lambda *a, **k: passes.append(a) or told_of(*a, **k))
    log = LogWriter()
    log.add(ev.Header("l" * 32), run="")
    log.add(ev.RunStarted("apply", "loopback"), ev.TargetSeen(1, "loopback", "a" * 32, "docs"))
    for number in range(1, 21):
        ids = [f"{number}-{n}" for n in range(3)]
        log.add(
            ev.Declared(number, 1, "m.yaml", number, number, f"t{number}"),
            ev.Intent(number, 1, [[[number], 3]], ids),
        )
    assert len(report_of(read(log.frames)).declarations) == 20
    assert len(passes) == 1


@pytest.mark.parametrize("held", [{"ids": ["x"]}, {"batches": [[2, 2]]}])
def test_ids_that_the_log_was_said_to_have_and_has_not_keep_a_ticket_from_being_done(held):
    log = LogWriter()
    log.add(ev.Header("l" * 32), run="")
    log.add(ev.RunStarted("apply", "loopback"), ev.TargetSeen(1, "loopback", "a" * 32, "docs"))
    log.add(ev.Declared(1, 1, "m.yaml", 1, 1, "first"), ev.Intent(1, 1, [[[1], 1]], ["a"]), ev.Accepted(1, "m1"))
    log.add(ev.Intent(2, 1, [[[1], 1]], ["x"]), ev.Verified(1, "get_by_ids", [[1, 1]]))
    ids = IdSet.of(["x"])
    names = {"count": 1, "digest": ids.digest()}
    log.add(ev.Declared(2, 1, "m.yaml", 2, 2, "second", names=names, held=held))
    log.add(ev.Failed(2, 0, "rejected", final=True))
    made = report_of(read(log.frames), reason="second")
    (found,) = made.declarations
    assert (made.done, len(found.ids), found.missing, found.proven.ids) == (False, 0, 1, 0)


def test_what_has_no_status_is_not_withdrawn_with_what_was_released():
    log = LogWriter()
    log.add(ev.Header("l" * 32), run="")
    log.add(ev.RunStarted("apply", "loopback"), ev.TargetSeen(1, "loopback", "a" * 32, "docs"))
    ids = IdSet.of(["a", "x"])
    names = {"count": 2, "digest": ids.digest()}
    log.add(ev.Declared(1, 1, "m.yaml", 1, 1, "t", names=names, held={"ids": ["x"]}))
    log.add(ev.Intent(1, 1, [[[1], 1]], ["a"]), ev.Accepted(1, "m1"), ev.Verified(1, "get_by_ids", [[1, 1]]))
    log.add(ev.Released(1, "undeclared", [[1, 1]]))
    (found,) = report_of(read(log.frames)).declarations
    assert (found.withdrawn, found.done, found.released, found.missing) == (False, False, 1, 1)

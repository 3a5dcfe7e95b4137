"""Random logs: every id's status agrees with a small model that keeps a stack of claims for each id."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import layers, pages
from reconciler.model.idset import IdSet
from reconciler.model.tombstones import REJECTED, Status
from reconciler.state import events as ev
from reconciler.state.frames import parse, seal

IDS = [f"id-{n}" for n in range(7)]
RUN = "r1"
SETTINGS = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.function_scoped_fixture]}


@pytest.fixture(autouse=True, params=["few ids", "as of many ids"])
def sizes_are(request, monkeypatch):
    """In a long log batches stand on pages, and what ascends there becomes sets as it is."""
    if request.param == "as of many ids":
        monkeypatch.setattr(pages, "PAGE_BYTES", 15)
        monkeypatch.setattr(layers, "LAYER_BYTES", 10)


def started(**options):
    return ev.RunStarted("apply", "loopback", **options)


def declaration(number, target=1):
    return ev.Declared(number, target, "m.yaml", number, 0, f"ticket {number}")


def intent(batch, *ids, declarations=(1,), target=1):
    return ev.Intent(batch, target, [[list(declarations), len(ids)]], list(ids))


def statuses(log, target=1):
    return {id_: status for status, ids in log.fold.snapshot().targets[target].by_status.items() for id_ in ids}


class Model:
    """A stack of claims for each id. The top one is the last batch that names it."""

    def __init__(self):
        self.claims = {}  # id -> [claim], each {"batch", "status", "own"}; "own": what an event said of the id itself
        self.batches = {}
        self.loose = {}  # id -> status, of ids that no batch names
        self.rejected = set()

    def top(self, id_):
        return (self.claims.get(id_) or [None])[-1]

    def intent(self, batch, ids):
        self.batches[batch] = {"ids": ids, "status": Status.UNRESOLVED, "unknown": False}
        for id_ in ids:
            self.claims.setdefault(id_, []).append({"batch": batch, "status": Status.UNRESOLVED, "own": None})

    def accepted(self, batch):
        if self.batches[batch]["status"] == Status.UNRESOLVED:
            self.batches[batch]["status"] = Status.ACCEPTED
        for id_ in self.batches[batch]["ids"]:
            for claim in self.claims[id_]:
                if claim["batch"] == batch and claim["own"] is None and claim["status"] == Status.UNRESOLVED:
                    claim["status"] = Status.ACCEPTED
        self.batches[batch]["accepted"] = True

    def failed(self, batch, outcome, final):
        self.batches[batch]["unknown"] |= outcome == "unknown"
        if not final or self.batches[batch]["unknown"]:
            return
        self.rejected.add(batch)
        for id_ in self.batches[batch]["ids"]:
            stack = self.claims[id_]
            index = next(i for i, claim in enumerate(stack) if claim["batch"] == batch)
            own = stack.pop(index)["own"]
            if own is not None:
                if index:
                    stack[index - 1].update(status=own, own=own)
                else:
                    self.loose[id_] = own

    def named(self, ids, status):
        for id_ in ids:
            if self.top(id_):
                self.top(id_).update(status=status, own=status)
            else:
                self.loose[id_] = status

    def whole(self, batches, except_ids, status):
        for batch in batches:
            rank = [Status.PROCESSED, Status.VERIFIED, Status.RELEASED]
            now = self.batches[batch]["status"]
            if status is Status.PROCESSED and now in rank[1:]:
                continue
            if not (now in rank and rank.index(now) > rank.index(status)):
                self.batches[batch]["status"] = status
            for id_ in set(self.batches[batch]["ids"]) - set(except_ids):
                claim = self.top(id_)
                if claim and claim["batch"] == batch and claim["status"] is not Status.RELEASED:
                    claim["status"] = status

    def result(self):
        found = {id_: stack[-1]["status"] for id_, stack in self.claims.items() if stack}
        return {**{i: s for i, s in self.loose.items() if i not in found}, **found}


steps = st.lists(
    st.tuples(
        st.sampled_from(["intent", "accepted", "failed", "whole", "whole", "named"]),
        st.sets(st.sampled_from(IDS), min_size=1),
        st.integers(0, 30),
        st.sampled_from([Status.PROCESSED, Status.VERIFIED, Status.REAPPEARED, Status.RELEASED]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=25,
)


def _whole_event(status, ranges, except_ids):
    if status is Status.PROCESSED:
        return ev.Processed(1, ranges, "p"), []
    if status is Status.RELEASED:
        return ev.Released(1, "undeclared", ranges, except_ids), except_ids
    return ev.Verified(1, "get_by_ids", ranges, except_ids), except_ids


def _take(step, model, next_batch):
    """One random step that may follow: what the model did, as an event; None when nothing fits."""
    what, ids, pick, status, final, unknown = step
    open_ = [b for b, v in model.batches.items() if not v.get("accepted") and b not in model.rejected]
    sure = [b for b, v in model.batches.items() if v.get("accepted")]
    named = sorted(ids)
    if what == "intent":
        model.intent(next_batch, named)
        return intent(next_batch, *named)
    if what == "accepted" and open_:
        batch = open_[pick % len(open_)]
        model.accepted(batch)
        return ev.Accepted(batch, f"m{batch}")
    if what == "failed" and open_:
        batch = open_[pick % len(open_)]
        outcome = "unknown" if unknown else "rejected"
        model.failed(batch, outcome, final)
        return ev.Failed(batch, 1, outcome, final)
    if what == "whole":
        status = Status.VERIFIED if status is Status.REAPPEARED else status
        pool = sorted({*sure, *open_} if status is Status.RELEASED else sure)
        if not pool:
            return None
        batches = pool[pick % len(pool) :][: 1 + pick % 3]
        event, excepted = _whole_event(status, [[b, b] for b in batches], named if final else [])
        model.whole(batches, excepted, status)
        return event
    if what == "named":
        model.named(named, Status.VERIFIED if status is Status.PROCESSED else status)
        if status is Status.REAPPEARED:
            return ev.Reappeared(1, named)
        return (
            ev.Released(1, "lapsed", (), (), named)
            if status is Status.RELEASED
            else ev.Verified(1, "list", ids=named)
        )
    return None


@hypothesis.settings(max_examples=400, **SETTINGS)
@given(steps, st.booleans())
def test_every_ids_status_is_that_of_a_small_model(make_log, script, one_frame):
    log, model = make_log(), Model()
    log.add(RUN, started(), ev.TargetSeen(1, "loopback", "a", "i"), declaration(1))
    pending = []
    for step in script:
        event = _take(step, model, max(model.batches, default=0) + 1)
        if event is not None and one_frame:
            pending.append(event)
        elif event is not None:
            log.add(RUN, event)
            assert statuses(log) == model.result()
    if pending:
        log.add(RUN, *pending)
    assert statuses(log) == model.result()
    for number, batch in model.batches.items():
        expected = REJECTED if number in model.rejected else batch["status"]
        assert log.batch(number).status == expected


@hypothesis.settings(max_examples=100, **SETTINGS)
@given(steps)
def test_an_id_has_exactly_one_status_and_what_is_withdrawn_changes_nothing(make_log, script):
    log, model = make_log(), Model()
    log.add(RUN, started(), ev.TargetSeen(1, "loopback", "a", "i"), declaration(1))
    for step in script:
        event = _take(step, model, max(model.batches, default=0) + 1)
        if event is None:
            continue
        before = log.fold.snapshot()
        frame = parse(seal(log.fold.position + 1, log.fold.head, "n", "2026-11-22T12:00:00Z", RUN, [event]).line)
        log.fold.propose(frame)
        log.fold.withdraw()
        log.fold._snapshot = None
        log.fold._dirty.add(1)
        assert log.fold.snapshot() == before
        log.fold.apply(frame)
    record = log.fold.snapshot().targets[1]
    sets = list(record.by_status.values())
    assert sum(map(len, sets)) == len(IdSet.union(sets))
    live = record.ids(*(status for status in Status if status is not Status.RELEASED))
    groups = [ids for _, ids in record.by_declaration]
    assert IdSet.union(groups) == live
    assert sum(map(len, groups)) == len(live)

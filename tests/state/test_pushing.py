"""`state push`: what a run learned and could not record gets into the log, once, or the log stays as it is."""

from __future__ import annotations

import pytest

from reconciler.errors import StateDamaged, StateError, StateHeld, StateMismatch, StoreUnavailable
from reconciler.model.tombstones import REJECTED, Status
from reconciler.state import events as ev
from reconciler.state import journal as journal_module
from reconciler.state import moving, pushing
from reconciler.state.chain import walk
from reconciler.state.frames import seal
from reconciler.state.identity import Who
from reconciler.state.journal import Journal, create
from reconciler.state.pushing import push
from reconciler.state.stores.interface import Unknown
from reconciler.state.stores.memory import MemoryStore
from reconciler.state.unsaved import Unsaved

WHO = Who(actor="me", host="here", boot_id="", pid=1, job="")


class Stranded:
    """A log whose run sent `batches` batches of one id each, and could not record what came of them."""

    def __init__(self, store, clock, begin, target_and_declaration, batches=3):
        self.store = store
        self.clock = clock
        run = begin(create(store, clock))
        run.append(target_and_declaration)
        run.append([ev.Intent(number, 1, [[[1], 1]], [f"doc-{number}"]) for number in range(1, batches + 1)])
        self.run, self.head, self.lineage = run.run, run.head, run.fold.lineage
        run.finish("failed")
        self.before = self.lines()

    def lines(self):
        return list(self.store.read(0))

    def row(self, event, **changes):
        return Unsaved(**{"lineage": self.lineage, "run": self.run, "head": self.head, "event": event, **changes})

    def push(self, *events, **options):
        rows = [each if isinstance(each, Unsaved) else self.row(each) for each in events]
        return push(Journal(self.store, self.clock), rows, self.clock, WHO, tool_version="0.1", **options)

    def load(self):
        return Journal(self.store, self.clock).load()

    def batch(self, number):
        (target,) = self.load().targets.values()
        return next(each for each in target.batches if each.number == number)

    def answers(self):
        found = [event for frame in walk(self.lines()) for event in frame.events]
        return [event for event in found if isinstance(event, ev.Accepted | ev.Failed)]


@pytest.fixture
def strand(clock, begin, target_and_declaration, tmp_path, monkeypatch):
    """Makes a stranded log; what a push keeps in a file is kept in this test's folder."""
    monkeypatch.chdir(tmp_path)

    def make(store=None, **options):
        return Stranded(store or MemoryStore(), clock, begin, target_and_declaration, **options)

    return make


@pytest.fixture
def stranded(strand):
    return strand()


def test_answers_get_into_the_log_of_every_store_in_a_run_of_their_own(handles, strand):
    stranded = strand(handles())
    done = stranded.push(ev.Accepted(1, "m-1"), ev.Failed(2, 1, "rejected", final=True, code=40026))
    assert (done.recorded, done.known, done.reads) == (2, 0, 0)
    assert (stranded.batch(1).mutation_id, stranded.batch(2).status) == ("m-1", REJECTED)
    assert stranded.batch(3).status == Status.UNRESOLVED
    projection = stranded.load()
    assert projection.open_run is None
    assert done.head == f"{projection.position}:{projection.head}"
    assert stranded.lines()[: len(stranded.before)] == stranded.before
    (started,) = [e for f in walk(stranded.lines()) for e in f.events if getattr(e, "command", "") == "state push"]
    assert (started.actor, started.tool_version) == ("me", "0.1")


def test_pushing_twice_records_nothing_twice_and_writes_nothing(stranded):
    answers = [
        ev.Failed(1, 1, "unknown", final=False),
        ev.Accepted(1, "m-1", 2),
        ev.Failed(2, 1, "unknown", final=True),
    ]
    first = stranded.push(*answers)
    lines = stranded.lines()
    again = stranded.push(*answers)
    assert (first.recorded, first.known) == (3, 0)
    assert (again.recorded, again.known, again.head) == (0, 3, first.head)
    assert stranded.lines() == lines
    assert stranded.answers() == answers


def test_an_answer_that_was_kept_twice_is_recorded_once(stranded):
    done = stranded.push(*[ev.Accepted(1, "m-1")] * 3, *[ev.Failed(2, 1, "unknown", final=True)] * 2)
    assert (done.recorded, done.known) == (2, 3)
    assert stranded.answers() == [ev.Accepted(1, "m-1"), ev.Failed(2, 1, "unknown", final=True)]


def test_what_the_log_learned_meanwhile_is_left_out(stranded):
    stranded.push(ev.Accepted(2, "m-2"))
    done = stranded.push(ev.Accepted(1, "m-1"), ev.Accepted(2, "m-2"), ev.Accepted(3, "m-3"))
    assert (done.recorded, done.known) == (2, 1)
    assert [event.mutation_id for event in stranded.answers()] == ["m-2", "m-1", "m-3"]


def test_results_of_reads_are_never_recorded_late(stranded):
    reads = [
        ev.Processed(1, [[1, 1]], "m-1"),
        ev.Verified(1, "get_by_ids", [[1, 1]]),
        ev.Reappeared(1, ["doc-1"], [[[1], 1]]),
    ]
    done = stranded.push(*reads)
    assert (done.recorded, done.known, done.reads) == (0, 0, 3)
    assert stranded.lines() == stranded.before
    assert stranded.push(*reads, ev.Accepted(1, "m-1")).reads == 3
    assert stranded.batch(1).status == Status.ACCEPTED


def test_a_late_answer_does_not_change_what_a_later_batch_proved(stranded, clock, begin):
    run = begin(Journal(stranded.store, clock))
    run.append([ev.Intent(9, 1, [[[1], 1]], ["doc-1"])])
    run.append([ev.Accepted(9, "m-9"), ev.Processed(1, [[9, 9]], "m-9"), ev.Verified(1, "list", [[9, 9]])])
    run.finish("done")
    stranded.push(ev.Accepted(1, "m-1"))
    (target,) = stranded.load().targets.values()
    assert list(target.ids(Status.VERIFIED)) == ["doc-1"]


def test_outcomes_of_another_log_are_refused(stranded):
    with pytest.raises(StateMismatch, match="belong to the log"):
        stranded.push(ev.Accepted(1, "m-1"), stranded.row(ev.Accepted(2, "m-2"), lineage="\x1b[2J" + "f" * 32))
    assert stranded.lines() == stranded.before


def test_outcomes_are_not_pushed_into_a_log_that_does_not_exist(stranded, clock):
    with pytest.raises(StateMismatch, match="empty"):
        push(Journal(MemoryStore(), clock), [stranded.row(ev.Accepted(1, "m"))], clock, WHO, tool_version="0")


@pytest.mark.parametrize("event", [ev.Accepted(77, "m-1"), ev.Failed(77, 1, "unknown", final=True)])
def test_a_batch_that_the_log_never_sent_is_refused(stranded, event):
    with pytest.raises(StateError, match="batch 77 is not in the log"):
        stranded.push(ev.Accepted(1, "m-1"), event)
    assert stranded.lines() == stranded.before


def test_a_second_mutation_id_for_an_answered_batch_is_refused(stranded):
    stranded.push(ev.Accepted(1, "m-1"))
    stranded.push(ev.Failed(2, 1, "rejected", final=True))
    lines = stranded.lines()
    for event in (ev.Accepted(1, "m-other"), ev.Accepted(2, "m-2")):
        with pytest.raises(StateError, match="another answer"):
            stranded.push(event)
    assert stranded.lines() == lines


@pytest.mark.fault(9)
def test_a_log_that_went_backwards_since_is_noticed(stranded):
    position, _, digest = stranded.head.partition(":")
    for head in (f"99:{digest}", f"{position}:{'0' * 64}"):
        with pytest.raises(StateDamaged):
            stranded.push(stranded.row(ev.Accepted(1, "m-1"), head=head))
    assert stranded.lines() == stranded.before


IMPOSSIBLE = {
    "two mutation ids for a batch": [ev.Accepted(1, "m-1"), ev.Accepted(1, "m-2")],
    "rejected, then accepted": [ev.Failed(1, 1, "rejected", final=True), ev.Accepted(1, "m-1", 2)],
    "no mutation id": [ev.Accepted(1, "")],
    "an outcome that does not exist": [ev.Failed(1, 1, "weird", final=True)],
    "half of a surrogate pair": [ev.Accepted(1, "m-\ud800")],
    "one of many": [*(ev.Failed(2, n, "unknown", final=False) for n in range(1, 601)), ev.Accepted(1, "")],
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_the_log_cannot_take_is_refused_before_anything_is_recorded(stranded, what, tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "seal", seal)  # what is refused need not fit the schema
    with pytest.raises(StateError):
        stranded.push(*IMPOSSIBLE[what])
    assert stranded.load().open_run is None, "a push that failed still holds the state"
    assert stranded.answers() == []
    assert list(tmp_path.iterdir()) == [], "what was in a file already was written to one once more"


def test_a_run_that_holds_the_state_is_waited_for_or_named(stranded, clock, begin):
    run = begin(Journal(stranded.store, clock), actor="alice")
    with pytest.raises(StateHeld, match="alice"):
        stranded.push(ev.Accepted(1, "m-1"))
    assert stranded.answers() == []
    waited = []

    def on_wait(holder, left):
        waited.append(holder)
        run.finish("done")

    assert stranded.push(ev.Accepted(1, "m-1"), lock_timeout=10.0, on_wait=on_wait).recorded == 1
    assert len(waited) == 1


def test_thousands_of_answers_become_few_frames(strand):
    stranded = strand(batches=1201)
    answers = [ev.Accepted(number, f"m-{number}") for number in range(1, 1202)]
    assert stranded.push(*answers).recorded == 1201
    assert stranded.answers() == answers
    assert len(stranded.lines()) - len(stranded.before) == 3 + 2


@pytest.mark.parametrize("fails", [1, 2, 3, 4])
def test_a_push_that_the_store_ends_is_pushed_again_and_records_each_answer_once(
    strand, fails, clock, monkeypatch
):
    monkeypatch.setattr(pushing, "_PORTION", 5)
    stranded = strand(batches=12)
    answers = [ev.Accepted(number, f"m-{number}") for number in range(1, 13)]
    honest, calls = stranded.store.append, iter(range(1, 100))

    def append(line, position):
        if next(calls) >= fails:
            return Unknown(StoreUnavailable("the disk is full"), retry=False)
        return honest(line, position)

    stranded.store.append = append
    with pytest.raises(StateError, match="disk is full"):
        stranded.push(*answers)
    stranded.store.append = honest
    clock.advance(24 * 3600)  # its run was left open: the store took nothing more
    stranded.push(*answers)
    assert stranded.answers() == answers
    assert stranded.load().open_run is None


def test_a_log_that_was_moved_takes_nothing_more(stranded, clock):
    elsewhere = MemoryStore("elsewhere")
    moving.migrate(stranded.store, elsewhere, clock)
    with pytest.raises(StateError, match="moved to memory:elsewhere"):
        stranded.push(ev.Accepted(1, "m-1"))
    assert len(stranded.lines()) == len(stranded.before) + 1
    stranded.store = elsewhere
    assert stranded.push(ev.Accepted(1, "m-1")).recorded == 1


def test_who_pushes_to_the_old_place_what_a_run_learned_at_the_new_one_is_told_where_the_log_is(
    stranded, clock, begin
):
    elsewhere = MemoryStore("elsewhere")
    run = begin(moving.migrate(stranded.store, elsewhere, clock).journal)
    run.append([ev.Intent(9, 1, [[[1], 1]], ["doc-1"])])
    with pytest.raises(StateError, match="moved to memory:elsewhere"):
        stranded.push(stranded.row(ev.Accepted(9, "m-9"), head=run.head))

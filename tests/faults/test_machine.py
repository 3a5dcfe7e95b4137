"""Runs, crashes, lost answers, takeovers and moves in any order, over every store, against a model of thirty lines."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from reconciler.clock import ManualClock, parse_timestamp
from reconciler.errors import RunFenced, StateError, StateHeld, StoreUnavailable
from reconciler.state import events as ev
from reconciler.state.frames import parse
from reconciler.state.holder import GRACE
from reconciler.state.journal import Journal, create
from reconciler.state.moving import migrate
from reconciler.state.placing import TRIES
from reconciler.state.run import LEASE, Run, unlock
from reconciler.state.stores import s3
from reconciler.state.stores.interface import Conflict, Done, Store, Unknown
from support.moves import Killed, Life, Mortal, lines, live
from support.places import new_place

FAULTS = {
    "lost before": ["lost before"],
    "lost after": ["lost after"],
    "refused although it is there": ["conflict after"],
    "twice": ["twice"],
    "lost before and after": ["lost before", "lost after"],
    "silent": ["lost before"] * TRIES,
    "silent after the commit": ["lost after"] + ["lost before"] * (TRIES - 1),
}

LOST = Unknown(StoreUnavailable("the answer was lost"))

#: After so long a silence a run is over whatever the clocks of two machines say.
OVER = LEASE + GRACE + 3600


class Model:
    """What is true: the frames, who holds the log, where it lives. Frames are never changed and never taken back."""

    def __init__(self, frames):
        self.frames = []
        self.holder, self.last = "", None
        self.live, self.moving_to = 0, None
        for line in frames:
            self.take(line)

    def take(self, line):
        """The line is in the log from now on: it was acknowledged, or a reader has seen it."""
        frame = parse(line)
        assert frame.position == len(self.frames) + 1, "a position has two writers, or was left out"
        self.frames.append(line)
        self.last = parse_timestamp(frame.at)
        for event in frame.events:
            if isinstance(event, ev.RunFinished | ev.RunFenced):
                self.holder = ""
            elif isinstance(event, ev.RunStarted):
                self.holder = frame.run

    def writable(self, place):
        return place == self.live and self.moving_to is None

    def held(self, now):
        return bool(self.holder) and (now - self.last).total_seconds() < OVER

    def moves(self, to, *, arrived):
        self.live, self.moving_to = (to, None) if arrived else (self.live, to)


class Lossy(Store):
    """A handle before which answers get lost. `script`: what happens to the next appends; `deaf`: nor can it read."""

    def __init__(self, inner):
        self.inner, self.url = inner, inner.url
        self.script, self.deaf, self.sent, self.late = [], False, b"", []

    def read(self, after):
        if self.deaf and self.sent:
            raise StoreUnavailable("nobody answers")
        return self.inner.read(after)

    def append(self, line, position):
        self.sent = line
        what = self.script.pop(0) if self.script else ""
        if what == "lost before":
            self.late.append((line, position))
            return LOST
        outcome = self.inner.append(line, position)
        if what == "twice":
            assert not isinstance(self.inner.append(line, position), Done), "two lines at one position"
        return LOST if what == "lost after" else Conflict() if what == "conflict after" else outcome

    def exists(self):
        return self.inner.exists()

    def address(self, source=None):
        return self.inner.address(source)

    def answers_to(self, address):
        return self.inner.answers_to(address)

    def receive(self, lines, last, clock):
        raise AssertionError("runs do not receive logs")


class Writer:
    """A process: its handle on the log at one place, and its run."""

    def __init__(self, place, store, clock):
        self.place, self.store = place, Lossy(store)
        self.journal, self.run = Journal(self.store, clock), None


class Machine(RuleBasedStateMachine):
    """Any number of processes and two places; what is done is done to both the program and the model."""

    PLACES = st.sampled_from([0, 1])
    PICK = st.integers(0, 59)
    FAULT = st.sampled_from(["", "", "", *FAULTS])

    def __init__(self, new, happened):
        super().__init__()
        self.clock, self.happened = ManualClock(), happened
        self.places = [new(), new()]
        self.writers, self.late, self.moves = [], [], 0
        with closing(self.places[0].open()) as store:
            create(store, self.clock)
        self.model = Model(lines(self.places[0]))
        for _ in range(3):
            self.arrive(elsewhere=False)

    def teardown(self):
        self.check()
        for place in self.places:
            place.close()

    # Processes

    @precondition(lambda self: len(self.writers) < 5)
    @rule(elsewhere=st.sampled_from([False, False, False, True]))
    def arrive(self, elsewhere):
        place = 1 - self.model.live if elsewhere else self.model.live
        self.writers.append(Writer(place, self.places[place].open(), self.clock))

    @precondition(lambda self: len(self.writers) > 2)
    @rule(pick=PICK)
    def crash(self, pick):
        writer = self.writers.pop(pick % len(self.writers))
        self.late += [(writer.place, *each) for each in writer.store.late]
        writer.store.inner.close()
        self.happened["crash"] += 1

    @precondition(lambda self: self.model.holder)
    @rule(seconds=st.sampled_from([20.0, 150.0, LEASE + GRACE, OVER]))
    def pause(self, seconds):
        """Every process stands still, for longer than a lease perhaps. Afterwards they all go on."""
        self.clock.advance(seconds)

    # What runs do

    @rule(pick=PICK, patience=st.sampled_from([0.0, 0.0, LEASE + GRACE + 60]), fault=FAULT)
    def start(self, pick, patience, fault):
        """Take the state; a second run while the first is open takes it over or is held."""
        writer = self.writers[pick % len(self.writers)]
        model, before = self.model, self.model.holder
        may = model.writable(writer.place) and (patience > 0 or not model.held(self.clock.now()))

        def start():
            writer.run, _ = Run.start(
                writer.journal, self.clock, command="apply", origin="loopback", fingerprint="",
                prepare=lambda _: None, lock_timeout=patience,
            )  # fmt: skip

        if self._try(writer, start, may, fault):
            assert model.holder == writer.run.run
            assert writer.run.took_over == before
            self.happened["takeover" if before else "start"] += 1

    @precondition(lambda self: self._running())
    @rule(pick=PICK, ends=st.sampled_from([False, False, True]), fault=FAULT)
    def append(self, pick, ends, fault):
        """By a run that holds the state, or held it once and does not know better."""
        running = self._running()
        writer = running[pick % len(running)]
        may = self.model.writable(writer.place) and self.model.holder == writer.run.run
        act = (lambda: writer.run.finish("done")) if ends else (lambda: writer.run.append([ev.LeaseRenewed()]))
        self._try(writer, act, may, fault)

    def _running(self):
        return [writer for writer in self.writers if writer.run is not None and not writer.run.over]

    def _try(self, writer, action, may, fault):
        """Do it: it is acknowledged exactly when it may be, or nobody knows, and then reading finds it out."""
        store, deaf = writer.store, fault == "silent after the commit"
        store.sent, store.script = b"", list(FAULTS.get(fault, ()))
        store.deaf = deaf
        refusal = None
        try:
            action()
        except StateError as error:
            refusal = error
        store.script, store.deaf = [], False
        if isinstance(refusal, StoreUnavailable):
            assert may or deaf
            self._find_out(store.sent)
            return False
        if refusal is not None:
            assert not may, f"refused although it may: {refusal.message}"
            assert not isinstance(refusal, RunFenced) or writer.run.over
            self.happened[type(refusal).__name__] += 1
            return False
        assert may, "acknowledged although it may not be"
        self.model.take(store.sent)
        self.happened["acknowledged"] += 1
        if fault:
            self.happened[fault] += 1
        return True

    def _find_out(self, line):
        """Nobody knows whether the line is there: the next reader sees it, and everybody after, or nobody."""
        self.happened["unknown"] += 1
        if len(lines(self.places[self.model.live])) > len(self.model.frames):
            self.model.take(line)
            self.happened["unknown, but there"] += 1

    @precondition(lambda self: self.model.holder)
    @rule()
    def a_person_unlocks(self):
        with closing(self.places[self.model.live].open()) as store:
            journal = Journal(store, self.clock)
            self.model.take(unlock(journal, self.clock, self.model.holder, reason="dead", by="me").line)
        self.happened["unlocked"] += 1

    @precondition(lambda self: self.late)
    @rule(pick=PICK)
    def a_lost_append_is_delivered_late(self, pick):
        """By the network, after its process has died: it finds its position taken, or it was never anybody else's."""
        place, line, position = self.late.pop(pick % len(self.late))
        with closing(self.places[place].open()) as store:
            if isinstance(store.append(line, position), Done):
                assert self.model.writable(place)
                self.model.take(line)
                self.happened["delivered late"] += 1
        self.happened["late"] += 1

    # Moves

    @precondition(lambda self: self.moves < 5)
    @rule(to=PLACES, steps=st.sampled_from([*range(50), *[1000] * 50]))
    def move(self, to, steps):
        self.moves += 1
        model, source = self.model, self.places[1 - to]
        allowed = model.live == 1 - to and (model.moving_to is not None or not model.holder)
        with closing(source.open()) as one, closing(self.places[to].open()) as two:
            refusal = None
            try:
                migrate(Mortal(one, Life(steps)), Mortal(two, Life(steps)), self.clock)
            except Killed:
                self.happened["move killed"] += 1
            except StateError as error:
                refusal = error
            else:
                assert allowed or model.live == to
                self.happened["moved"] += 1
        if refusal is not None:
            assert not allowed, refusal.message
            assert not isinstance(refusal, StateHeld) or model.holder
            self.happened["move refused"] += 1
            return
        if model.live == to:
            return
        found = lines(source)
        if len(found) > len(model.frames):
            model.take(found[-1])
            model.moves(to, arrived=False)
        if model.moving_to is not None and self.places[to] in live(self.places[to]):
            model.moves(to, arrived=True)
        self.check()

    # What every reader sees

    def check(self):
        model = self.model
        assert lines(self.places[model.live]) == model.frames
        with closing(self.places[model.live].open()) as store:
            projection = Journal(store, self.clock).load()
            assert (projection.open_run.run if projection.open_run else "") == model.holder
        assert live(*self.places) == ([] if model.moving_to is not None else [self.places[model.live]])


EXAMPLES = {"memory": 250, "file": 120, "fake_s3": 25, "postgres": 25, "seaweed": 12}

LOSSES = (*FAULTS, "unknown", "late")
_S3 = (pytest.mark.fault(13), pytest.mark.fault(14))
_MOVES = (pytest.mark.fault(30),)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        pytest.param("memory", ("move killed",), marks=_MOVES),
        pytest.param("file", ("move killed",), marks=_MOVES),
        pytest.param("postgres", ("move killed",), marks=_MOVES),
        pytest.param("fake_s3", LOSSES, marks=_S3),
        pytest.param("seaweed", LOSSES, marks=_S3),
    ],
)
def test_whatever_happens_in_whatever_order_the_log_is_what_was_acknowledged(
    kind, counted, request, tmp_path, monkeypatch, cases
):
    monkeypatch.setattr(s3, "probe", lambda *_: None)  # has tests of its own, and takes seconds on a real server
    monkeypatch.chdir(tmp_path)
    happened = Counter()
    run_state_machine_as_test(
        lambda: Machine(lambda: new_place(kind, request, tmp_path), happened),
        settings=settings(
            max_examples=EXAMPLES[kind],
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    for what in (
        "acknowledged",
        "takeover",
        "unknown",
        "crash",
        "late",
        "moved",
        "move killed",
        "StateHeld",
        "RunFenced",
    ):
        assert happened[what], f"{what} never happened"
    cases(sum(happened[what] for what in counted))

"""Waiting for other outcomes saves frames, and costs no time: whatever the store, the service and what fails."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler import applier
from reconciler.applier import Applier, TargetWork
from reconciler.clock import ManualClock
from reconciler.errors import ServiceFault
from reconciler.model.idset import IdSet
from reconciler.model.target import LOOPBACK, Target
from reconciler.vectorize import Budget, Dispatcher


class Agenda(ManualClock):
    """A clock on which things happen: waiting moves it to the next of them, and no further."""

    def __init__(self) -> None:
        super().__init__()
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        heapq.heappush(self._agenda, (self.elapsed() + seconds, next(self._order), what))

    def wait(self, queue: SimpleQueue[Any], timeout: float) -> Any:
        end = self.elapsed() + timeout
        while True:
            try:
                return queue.get_nowait()
            except Empty:
                pass
            if not self._agenda or self._agenda[0][0] > end:
                self.sleep(end - self.elapsed())
                return None
            at, _, what = heapq.heappop(self._agenda)
            self.sleep(at - self.elapsed())
            what()


class Later(Dispatcher):
    """Each attempt ends `latency` seconds after its start, or as much more or less as `vary` says (a part of it)."""

    latency = 0.0
    vary = 0.0
    random = Random(0)

    def _start(self) -> None:
        events, self._events = self._events, SimpleQueue()
        super()._start()  # without threads it is made at once; its end is told later
        (done, self._events) = self._events.get_nowait(), events
        after = self.latency * (1 + self.random.uniform(-self.vary, self.vary))
        self._clock.after(after, lambda: events.put(done))  # type: ignore[attr-defined]


def seconds(
    monkeypatch: pytest.MonkeyPatch,
    linger: float,
    *,
    concurrency: int,
    latency: float,
    append: float,
    failing: int = 0,
    vary: float = 0.0,
) -> tuple[float, int]:
    """How long 300 batches take, and in how many frames. `failing`: of 20 requests fail once; `vary`: see Later."""
    clock = Agenda()
    frames = []

    class Recorder:
        def __init__(self, run: object, wake: Callable[[], None], **_: object) -> None:
            self.busy, self._wake, self._ends = False, wake, SimpleQueue[object]()
            self._end: object = None

        def start(self, events: list[object]) -> None:
            self.busy = True
            frames.append(events)
            clock.after(append, lambda: (self._ends.put(events), self._wake()))

        def collect(self) -> object:
            if self._end is None and self._ends.empty():
                return None
            end, self._end = self._end or self._ends.get_nowait(), None
            self.busy = False
            return end

        def wait(self, seconds: float) -> None:
            if self.busy and self._end is None:
                self._end = clock.wait(self._ends, seconds)

        def close(self) -> None:
            pass

    made = count()

    def deletion(target: Target, ids: tuple[str, ...]) -> Callable[[], object]:
        fails = [True] if next(made) % 20 < failing else []

        def send() -> object:
            if fails:
                fails.pop()
                raise ServiceFault("not now", status=503)
            return SimpleNamespace(mutation_id="m", messages=())

        return send

    monkeypatch.setattr(applier, "Recorder", Recorder)
    monkeypatch.setattr(applier, "LINGER", linger)
    dispatcher = Later(
        clock, Budget(clock, per_window=None, per_second=None), concurrency=concurrency, threads=False
    )
    dispatcher.latency, dispatcher.vary, dispatcher.random = latency, vary, Random(1)
    run = SimpleNamespace(fresh=lambda _: True, renew_due=lambda: False)
    client = SimpleNamespace(deletion=deletion)
    sending = Applier(
        run,  # type: ignore[arg-type]
        client,  # type: ignore[arg-type]
        dispatcher,
        clock,
        batch_size=10,
        next_batch=1,
        notify=lambda _: None,
        threads=False,
    )
    target = Target(LOOPBACK, "0" * 32, "docs")
    began = clock.elapsed()
    result = sending.send([TargetWork(1, target, (((1,), IdSet.of(f"x-{n}" for n in range(3000))),))])
    assert result.by_target[target].accepted == 3000
    return clock.elapsed() - began, len(frames)


@pytest.mark.parametrize(
    ("concurrency", "latency", "append", "failing"),
    [
        pytest.param(8, 0.05, 0.001, 0, id="a fast store"),
        pytest.param(1, 0.05, 0.06, 0, id="a store as slow as the service, one at a time"),
        pytest.param(3, 0.05, 0.05, 0, id="a store as slow as the service"),
        pytest.param(8, 0.005, 0.01, 0, id="a store slower than the service"),
        pytest.param(8, 0.05, 0.5, 0, id="a very slow store"),
        pytest.param(8, 0.05, 0.003, 4, id="some requests wait for another attempt"),
    ],
)
def test_that_outcomes_wait_for_others_costs_no_time(monkeypatch, concurrency, latency, append, failing):
    how = {"concurrency": concurrency, "latency": latency, "append": append, "failing": failing}
    at_once, frames = seconds(monkeypatch, 0.0, **how)
    waiting, fewer = seconds(monkeypatch, 0.1, **how)
    assert waiting <= at_once * 1.03, f"{waiting:.2f} s instead of {at_once:.2f}"
    assert fewer <= frames


@pytest.mark.parametrize("vary", [0.0, 0.4])
def test_a_fast_store_records_together_nearly_all_that_runs_at_once(monkeypatch, vary):
    took, frames = seconds(monkeypatch, 0.1, concurrency=8, latency=0.05, append=0.003, vary=vary)
    assert frames <= 300 / 6
    assert took <= 300 / 8 * 0.05 * 1.1


@pytest.mark.parametrize("append", [0.003, 0.012, 0.024, 0.05, 0.1])
@pytest.mark.parametrize("latency", [0.05, 0.2])
def test_a_frame_begins_before_the_reserve_is_used_up_however_long_the_store_takes(monkeypatch, latency, append):
    """Answers come one after the other: a frame that begins with the last of the reserve would come too late."""
    how = {"concurrency": 8, "latency": latency, "append": append, "vary": 0.4}
    at_once, _ = seconds(monkeypatch, 0.0, **how)
    took, _ = seconds(monkeypatch, 0.1, **how)
    assert took <= at_once * 1.03

"""Logs that no run has written, but any could: whatever may follow in a log follows somewhere in these."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from reconciler.errors import StateDamaged
from reconciler.model.idset import IdSet
from reconciler.state import events as ev
from reconciler.state.fold import Fold
from reconciler.state.frames import Frame, seal

#: Ids of random logs; some begin with others.
POOL = ("a", "a\x00", "ab", "abc", "é", "\U0001f600", *(f"id-{n}" for n in range(8)))
RUN = "r1"


class LogWriter:
    """Frames one after another. `frames`: those so far."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._fold = Fold()

    def add(self, *events: ev.Event, run: str = RUN) -> bool:
        """A frame of these events, unless it contradicts the log."""
        number = self._fold.position + 1
        at = f"2026-11-22T12:{number // 60:02}:{number % 60:02}.000Z"
        frame = seal(number, self._fold.head, f"n{number}", at, run, events)
        try:
            self._fold.apply(frame)
        except StateDamaged:
            return False
        self.frames.append(frame)
        return True


def random_log(random: Random, steps: int = 25) -> list[Frame]:
    """Requests, answers, reads and releases of one index that may be created again, and declarations of it."""
    log, story = LogWriter(), _Story(random)
    log.add(ev.Header("l" * 32), run="")
    log.add(ev.RunStarted("apply", "loopback"), story.index())
    for _ in range(random.randint(1, steps)):
        if events := story.step():
            log.add(*events)
    return log.frames


class _Story:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._target = 0
        self._declarations: list[int] = []
        self._batches: list[int] = []
        self._declared = 0
        self._sent = 0

    def index(self) -> ev.Event:
        """The index, new or created again."""
        self._target += 1
        self._declarations, self._batches = [], []
        return ev.TargetSeen(self._target, "loopback", "a" * 32, "docs", f"created {self._target}")

    def step(self) -> list[ev.Event]:
        if not self._declarations:
            return [self._declaration()]
        often = [self._request, self._read, self._named] * 6
        return list(self._random.choice([*often, self._release, self._declare, self._again])())

    def _some(self, most: int = 6) -> list[str]:
        return sorted(self._random.sample(POOL, self._random.randint(1, most)))

    def _maybe(self, chance: float) -> bool:
        return self._random.random() < chance

    def _declaration(self) -> ev.Event:
        self._declared += 1
        ids = IdSet.of(self._some())
        count = {"count": len(ids), "digest": ids.digest()}
        self._declarations.append(self._declared)
        return ev.Declared(
            self._declared,
            self._target,
            self._random.choice(["m.yaml", "n.yaml"]),
            self._declared,
            self._random.randint(1, 3),
            self._random.choice(["t1", "t2", "t3"]),
            sources=[{"kind": "file", "path": "p", "column": "", **count}],
            prefixes=[{"text": "id-1", "count": 2, "digest": "d"}] if self._maybe(0.2) else [],
            names=count if self._maybe(0.7) else {},
            held=self._held(),
        )

    def _held(self) -> dict[str, Any]:
        held: dict[str, Any] = {}
        if self._batches and self._maybe(0.4):
            batch = self._random.choice(self._batches)
            held = {"batches": [[batch, batch]], "except_ids": self._some(2)}
        return held | ({"ids": self._some(2)} if self._maybe(0.2) else {})

    def _declare(self) -> Iterator[ev.Event]:
        yield self._declaration()

    def _runs(self, ids: list[str]) -> list[Any]:
        """Declarations for all of `ids`."""
        cut = self._random.randint(0, len(ids))
        runs = [[self._random.sample(self._declarations, min(2, len(self._declarations))), cut]]
        return [run for run in [*runs, [[self._declarations[-1]], len(ids) - cut]] if run[1]]

    def _request(self) -> Iterator[ev.Event]:
        self._sent += 1
        self._batches.append(self._sent)
        ids = self._some()
        yield ev.Intent(self._sent, self._target, self._runs(ids), ids)
        if self._maybe(0.6):
            yield ev.Accepted(self._sent, f"m{self._sent}")
        elif self._maybe(0.6):
            yield ev.Failed(self._sent, 1, self._random.choice(["rejected", "unknown"]), final=self._maybe(0.7))

    def _read(self) -> Iterator[ev.Event]:
        """Of whole batches, and what is said of them else."""
        if not self._batches:
            return
        first, last = sorted(self._random.choices(self._batches, k=2))
        ranges = [[first, last]]
        left_out, ids = self._some(2) if self._maybe(0.5) else [], self._some(2) if self._maybe(0.3) else []
        match self._random.randint(0, 5):
            case 0:
                yield ev.Processed(self._target, ranges, "p")
            case 1:
                yield ev.Released(self._target, "undeclared", ranges, left_out, ids)
            case 2:
                yield ev.Accepted(first, f"m{first}")
            case 3:
                yield ev.Failed(first, 1, "rejected", final=True)
            case _:
                yield ev.Verified(self._target, self._random.choice(["list", "get_by_ids"]), ranges, left_out, ids)

    def _named(self) -> Iterator[ev.Event]:
        """Reads of ids, one or several in a frame."""
        for _ in range(self._random.randint(1, 2)):
            ids = self._some()
            runs = self._runs(ids) if self._maybe(0.6) else []
            if self._maybe(0.5):
                yield ev.Verified(self._target, self._random.choice(["list", "get_by_ids"]), (), (), ids, runs)
            else:
                yield ev.Reappeared(self._target, ids, runs)

    def _release(self) -> Iterator[ev.Event]:
        yield ev.Released(self._target, "lapsed", (), (), self._some())

    def _again(self) -> Iterator[ev.Event]:
        if self._target < 3 and self._maybe(0.3):
            yield self.index()

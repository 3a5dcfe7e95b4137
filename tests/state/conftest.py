"""What the tests of the state share: stores by name, a journal in use, system calls that fail on order."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler import resources
from reconciler.clock import ManualClock
from reconciler.errors import StateDamaged
from reconciler.state import events as ev
from reconciler.state import journal as journal_module
from reconciler.state.fold import Fold
from reconciler.state.frames import Frame, parse, seal
from reconciler.state.journal import Journal, create
from reconciler.state.run import Run
from reconciler.state.stores import s3
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.interface import Store
from reconciler.state.stores.oscalls import RealCalls
from support.places import KINDS, Place, new_place


class FaultyCalls(RealCalls):
    """The machine's calls, of which `fail[name]` decides: an errno to raise, or None to go through.

    `log` records the names in order. `short` bounds how much one write takes.
    """

    def __init__(self) -> None:
        self.fail: dict[str, Callable[[], int | None]] = {}
        self.log: list[str] = []
        self.short: int | None = None
        self.slept = 0.0

    def _meet(self, name: str) -> None:
        self.log.append(name)
        number = self.fail.get(name, lambda: None)()
        if number is not None:
            raise OSError(number, os.strerror(number))

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        self._meet("open")
        return super().open(path, flags, mode)

    def pwrite(self, handle: int, content: bytes, offset: int) -> int:
        if self.short is not None and len(content) > self.short:
            self.log.append("pwrite")
            return super().pwrite(handle, content[: self.short], offset)
        self._meet("pwrite")
        return super().pwrite(handle, content, offset)

    def pread(self, handle: int, size: int, offset: int) -> bytes:
        self._meet("pread")
        return super().pread(handle, size, offset)

    def fsync(self, handle: int) -> None:
        self._meet("fsync")
        super().fsync(handle)

    def fdatasync(self, handle: int) -> None:
        self._meet("fsync")
        super().fdatasync(handle)

    def ftruncate(self, handle: int, size: int) -> None:
        self._meet("ftruncate")
        super().ftruncate(handle, size)

    def flock(self, handle: int, operation: int) -> None:
        self._meet("flock")
        super().flock(handle, operation)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def _always(number: int) -> Callable[[], int]:
    return lambda: number


def _once(number: int) -> Callable[[], int | None]:
    left = [number]
    return lambda: left.pop() if left else None


class FoldLog:
    """Seals frames for a fold, as a journal does."""

    def __init__(self):
        self.fold = Fold()
        self.second = 0
        self.add("", ev.Header("l" * 32))

    def add(self, run, *events):
        self.second += 1
        at = f"2026-11-22T12:{self.second // 60 % 60:02}:{self.second % 60:02}.000Z"
        frame = parse(seal(self.fold.position + 1, self.fold.head, "n", at, run, events).line)
        self.fold.apply(frame)
        return frame

    def batch(self, number):
        batches = (batch for target in self.fold.snapshot().targets.values() for batch in target.batches)
        return next(batch for batch in batches if batch.number == number)

    def refuse(self, run, *events):
        """The events are damage, and change nothing."""
        before = self.fold.snapshot()
        frame = parse(
            seal(self.fold.position + 1, self.fold.head, "n", "2026-11-22T13:00:00.000Z", run, events).line
        )
        for attempt in (self.fold.propose, self.fold.apply):
            with pytest.raises(StateDamaged, match=f"frame {frame.position}"):
                attempt(frame)
        self.fold._snapshot = None
        self.fold._dirty.update(self.fold._targets)
        assert self.fold.snapshot() == before


@pytest.fixture
def make_log() -> type[FoldLog]:
    return FoldLog


@pytest.fixture
def faulty() -> FaultyCalls:
    return FaultyCalls()


@pytest.fixture
def always() -> Callable[[int], Callable[[], int]]:
    return _always


@pytest.fixture
def once() -> Callable[[int], Callable[[], int | None]]:
    return _once


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An empty place in each kind of store. Tables are there, as `state init` makes them."""
    made = new_place(request.param, request, tmp_path)
    monkeypatch.setattr(s3, "probe", lambda _objects, _folder: None)  # costs seconds, and has tests of its own
    if request.param in ("postgres", "pgbouncer"):
        made.open().probe()
    yield made
    made.close()


@pytest.fixture
def handles(place: Place) -> Callable[[], Store]:
    """Opens further handles on one log."""
    return place.open


@pytest.fixture(scope="session")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(resources.schema("state-frame"))
    return Draft202012Validator(resources.schema("state-frame"))


@pytest.fixture(autouse=True)
def every_frame_fits_the_schema(monkeypatch: pytest.MonkeyPatch, validator: Draft202012Validator) -> None:
    """What any test makes a journal write is checked against the published schema."""

    def checked(*arguments: Any) -> Frame:
        frame = seal(*arguments)
        validator.validate(json.loads(frame.line))
        return frame

    monkeypatch.setattr(journal_module, "seal", checked)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.jsonl"


@pytest.fixture
def journal(path: Path, clock: ManualClock) -> Iterator[Journal]:
    made = create(FileStore(path), clock)
    yield made
    made.store.close()


@pytest.fixture
def begin(clock: ManualClock) -> Iterator[Callable[..., Run]]:
    """Starts a run on a journal; lets go of its lock at the end, whatever became of it."""
    runs: list[Run] = []

    def begin(journal: Journal, **options: Any) -> Run:
        settings = {"command": "apply", "origin": "loopback", "fingerprint": "sha256:0", "host": "here", **options}
        run, _ = Run.start(journal, settings.pop("clock", clock), prepare=lambda _: None, **settings)
        runs.append(run)
        return run

    yield begin
    for run in runs:
        if run._guard is not None:
            run._guard.release()


@pytest.fixture
def target_and_declaration() -> list[ev.Event]:
    return [
        ev.TargetSeen(1, "loopback", "a" * 32, "articles", "2026-01-01T00:00:00Z"),
        ev.Declared(1, 1, "gdpr.yaml", 3, 0, "ticket PRIV-1"),
    ]

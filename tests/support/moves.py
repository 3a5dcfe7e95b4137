"""What the tests of moves share: logs to move, who of several places is live, and a process that dies at any operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from reconciler.clock import Clock, ManualClock
from reconciler.errors import StateError
from reconciler.state import events as ev
from reconciler.state.journal import Journal, create
from reconciler.state.stores.interface import AppendOutcome, Store
from support.places import Place


def fill(place: Place, clock: Clock, count: int) -> None:
    """A log of `count` frames, with text that an encoding could spoil."""
    with closing(place.open()) as store:
        journal = create(store, clock)
        for number in range(count - 1):
            journal.append("", [ev.Recovered(f"é\n😀\\{number}", 0, "0" * 64)])


def lines(place: Place) -> list[bytes]:
    """The log, as a process of its own reads it."""
    with closing(place.open()) as store:
        return list(store.read(0))


def live(*places: Place) -> list[Place]:
    """Those whose log would take a frame."""
    found = []
    for place in places:
        with closing(place.open()) as store:
            journal = Journal(store, ManualClock())
            try:
                if journal.load().position:
                    journal.require_writable()
                    found.append(place)
            except StateError:
                continue
    return found


class Killed(BaseException):
    """The process ends here."""


class Life:
    """How many operations a process has left."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def step(self) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1


class Mortal(Store):
    """Another store, used by a process that dies: just before an operation, or just after.

    Each line that is read, and each that is taken in, is an operation too.
    """

    def __init__(self, inner: Store, life: Life) -> None:
        self.inner = inner
        self.url = inner.url
        self._life = life

    def read(self, after: int) -> Iterator[bytes]:
        self._life.step()
        for line in self.inner.read(after):
            yield line
            self._life.step()

    def append(self, line: bytes, position: int) -> AppendOutcome:
        self._life.step()
        outcome = self.inner.append(line, position)
        self._life.step()
        return outcome

    def receive(self, lines: Iterator[bytes], last: bytes, clock: Clock) -> None:
        def mortal() -> Iterator[bytes]:
            for line in lines:
                self._life.step()
                yield line

        self.inner.receive(mortal(), last, clock)
        self._life.step()

    def exists(self) -> bool:
        return self.inner.exists()

    def address(self, source: Store | None = None) -> str:
        return self.inner.address(source.inner if isinstance(source, Mortal) else source)

    def answers_to(self, address: str) -> bool:
        return self.inner.answers_to(address)

    def probe(self) -> None:
        self._life.step()
        self.inner.probe()

    def close(self) -> None:
        self.inner.close()

"""A store that lives as long as its process: for tests, rehearsals and the demo."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from reconciler.clock import Clock
from reconciler.errors import StateError
from reconciler.state.stores.interface import AppendOutcome, Conflict, Done, Store


class MemoryStore(Store):
    """Lines in a list. Several threads may share one.

    Args:
        name: tells two of them apart.
    """

    created_on_demand = True
    local = True

    def __init__(self, name: str = "") -> None:
        self.url = f"memory:{name}"
        self._lines: list[bytes] = []
        self._lock = threading.Lock()

    def read(self, after: int) -> Iterator[bytes]:
        # Lines appended while a reader is on its way are read too, as from a file.
        position = after
        while position < len(self._lines):
            yield self._lines[position]
            position += 1

    def append(self, line: bytes, position: int) -> AppendOutcome:
        with self._lock:
            if position != len(self._lines) + 1:
                return Conflict()
            self._lines.append(line)
            return Done()

    def exists(self) -> bool:
        return bool(self._lines)

    def receive(self, lines: Iterator[bytes], last: bytes, clock: Clock) -> None:  # noqa: ARG002 - a store's signature
        whole = list(lines)
        with self._lock:
            if self._lines not in ([], whole):
                raise StateError(f"another log is at {self.url}")
            self._lines[:] = whole

"""One log's place in a store of any kind: its URL, the environment it needs, and stores opened on it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.clock import SystemClock
from reconciler.state.events import Header
from reconciler.state.journal import Journal
from reconciler.state.stores.interface import Store
from reconciler.state.stores.memory import MemoryStore
from reconciler.state.stores.s3 import S3Store
from reconciler.state.stores.urls import open_store

#: Every kind of store there is.
KINDS = ("memory", "file", "fake_s3", "seaweed", "postgres", "pgbouncer")

#: Those that several processes can share.
SHARED = ("file", "seaweed", "postgres")


@dataclass
class Place:
    """Where a log is, or will be.

    Attributes:
        kind: one of KINDS.
        url: of the state, with its password if it has one.
        env: variables that it needs.
    """

    kind: str
    url: str
    env: Mapping[str, str] = field(default_factory=dict)
    _opened: list[Store] = field(default_factory=list)
    _memory: MemoryStore | None = None

    def open(self) -> Store:
        """A new handle; for a memory store the one there is."""
        if self.kind == "memory":
            self._memory = self._memory or MemoryStore(self.url.partition(":")[2])
            return self._memory
        store = open_store(self.url, environment=self.env)
        self._opened.append(store)
        return store

    def close(self) -> None:
        """Let go of every handle."""
        for store in self._opened:
            store.close()


def begin(place: Place) -> None:
    """`state init` there, without the seconds that the probe of an object store takes: it has tests of its own."""
    store = place.open()
    if not isinstance(store, S3Store):
        store.probe()
    journal = Journal(store, SystemClock())
    journal.append("", [Header(SystemClock().token())])
    store.close()


def new_place(kind: str, request: pytest.FixtureRequest, folder: Path) -> Place:
    """A place where no log is yet. Servers are those of the session."""
    name = uuid.uuid4().hex
    if kind == "memory":
        return Place(kind, f"memory:{name}")
    if kind == "file":
        return Place(kind, f"file:{folder / f'{name}.jsonl'}")
    if kind in ("fake_s3", "seaweed"):
        server = request.getfixturevalue(kind)
        return Place(kind, f"s3://{server.bucket}/{name}", server.env())
    server = request.getfixturevalue("postgres")
    port = request.getfixturevalue("pgbouncer").port if kind == "pgbouncer" else 0
    return Place(kind, f"{server.url(port=port)}?log={name}")

"""A world to work in: a Vectorize in process, a clock that only moves when told to, a folder of manifests.

Waiting moves the clock and returns at once, so lag, polls, back-off, leases and budgets all run without sleeping.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from reconciler.clock import ManualClock
from reconciler.emulator import Emulator, Entry, Fault, Settings, create_app
from reconciler.model.idset import IdSet
from reconciler.model.notices import Notice
from reconciler.model.target import LOOPBACK, Target
from reconciler.model.tombstones import Projection, Status, TargetRecord
from reconciler.operations.applying import ApplyOptions, ApplyResult, apply
from reconciler.operations.context import Context, open_context
from reconciler.operations.interrupts import Interrupts
from reconciler.operations.planning import Planned, plan, read_state
from reconciler.operations.verifying import VerifyResult, verify
from reconciler.planfile import SavedPlan, encode
from reconciler.planfile import decode as decode_plan
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.frames import Frame
from support.inprocess import Bridge

pytest_plugins = ["support.faulttable", "support.fixtures"]

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


def pytest_configure() -> None:
    """Tests and the processes they start keep nothing in the cache of whoever runs them, and hear signals."""
    os.environ["RECONCILER_CACHE"] = "off"
    # They may have said nohup, or `&` in a script: processes would inherit deaf ears.
    if threading.current_thread() is threading.main_thread():
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, handler)


class World:
    """One folder, one service, one clock. Every operation opens a context of its own, as a new process would."""

    account = ACCOUNT

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.clock = ManualClock()
        self.emulator = Emulator(
            Settings(**{"budget": None, "burst": None, **settings}), clock=lambda: self.clock.now().timestamp()
        )

        async def sleep(seconds: float) -> None:
            self.clock.advance(seconds)

        self.bridge = Bridge(create_app(self.emulator, sleep=sleep), self.clock)
        self.environment = {"CLOUDFLARE_API_TOKEN": "token-0123456789"}
        self.state_path = root / "reconciler.state.jsonl"
        self.notices: list[Notice] = []
        self.interrupts = Interrupts()

    # What people write.

    def write(self, path: str, text: str) -> None:
        where = self.root / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)

    def manifest(self, *absent: dict[str, Any], name: str = "gdpr.yaml", keep: Iterable[Any] = ()) -> None:
        """A manifest in `manifests/`."""
        document = {"version": 1, "account_id": ACCOUNT, "absent": list(absent), "keep": list(keep)}
        self.write(f"manifests/{name}", yaml.safe_dump({k: v for k, v in document.items() if v}))

    def declare(self, ids: Iterable[str], index: str = "docs", name: str = "gdpr.yaml") -> None:
        """One declaration that lists `ids`, in a manifest of its own; the index holds them, and more."""
        self.manifest({"index": index, "reason": "ticket PRIV-1", "ids": list(ids)}, name=name)

    def configure(self, **document: Any) -> None:
        self.write("reconciler.yaml", yaml.safe_dump({"version": 1, **document}))

    def seed(self, ids: Iterable[str], index: str = "docs") -> None:
        self.emulator.seed(ACCOUNT, index, ids)

    def fault(self, kind: str, operation: str = "delete_by_ids", **options: Any) -> int:
        return self.emulator.faults.add(Fault(kind=kind, operation=operation, **options))  # type: ignore[arg-type]

    # What they run.

    def context(self, **options: Any) -> Context:
        settings = {"environment": self.environment, "base_url": "http://127.0.0.1:9/client/v4", **options}
        settings = {"clock": self.clock, "transport": self.bridge, "threads": False, **settings}
        return open_context(self.root, **settings)

    def plan(self, *paths: str, **options: Any) -> Planned:
        return plan(self.context(), paths, **options)

    def save(self, *paths: str, **options: Any) -> SavedPlan:
        """A plan that went through a file."""
        return decode_plan(self.plan_bytes(*paths, **options), path="p.json")

    def plan_bytes(self, *paths: str, **options: Any) -> bytes:
        planned = self.plan(*paths, **options)
        chunks = encode(
            planned.plan,
            tool_version="0",
            created_at=self.clock.now(),
            paths=planned.paths,
            only=planned.only,
        )
        return "".join(chunks).encode()

    def apply(
        self, *paths: str, saved: SavedPlan | None = None, approve: Any = None, context: Any = None, **options: Any
    ) -> ApplyResult:
        self.notices = []
        self.interrupts = Interrupts()
        return apply(
            context or self.context(),
            paths,
            saved=saved,
            approve=approve,
            options=ApplyOptions(**options),
            notify=self.notices.append,
            interrupts=self.interrupts,
        )

    def verify(self, **options: Any) -> VerifyResult:
        self.notices = []
        self.interrupts = Interrupts()
        options = {"notify": self.notices.append, "interrupts": self.interrupts, **options}
        return verify(self.context(), **options)

    # What can be seen afterwards.

    @property
    def state(self) -> Projection:
        return read_state(self.context())

    def record(self, index: str = "docs") -> TargetRecord:
        found = self.state.live(Target(LOOPBACK, ACCOUNT, index))
        assert found is not None
        return found

    def ids(self, *statuses: Status, index: str = "docs") -> list[str]:
        return list(self.record(index).ids(*statuses))

    def live(self, index: str = "docs") -> list[str]:
        return self.emulator.ids(ACCOUNT, index)

    def frames(self) -> list[Frame]:
        return list(walk(self.state_path.read_bytes().splitlines(keepends=True)))

    def events(self, *kinds: type[Any]) -> list[Any]:
        found = [event for frame in self.frames() for event in frame.events]
        return [event for event in found if isinstance(event, kinds)] if kinds else found

    def requests(self, operation: str | None = None) -> list[Entry]:
        return self.emulator.record(operation=operation)

    def deletes(self, index: str | None = None) -> list[Entry]:
        return [each for each in self.requests("delete_by_ids") if index in (None, each.index)]

    def on_delete(self, hook: Callable[[list[str]], None]) -> None:
        """Call `hook` with the ids of each delete request when it arrives."""

        def before(request: httpx.Request) -> None:
            if request.url.path.endswith("/delete_by_ids"):
                hook(json.loads(request.read())["ids"])

        self.bridge.before.append(before)

    def actions(self, *paths: str, **options: Any) -> dict[str, list[str]]:
        """The next plan, as symbols and ids."""
        found: dict[str, list[IdSet]] = {}
        for _, action in self.plan(*paths, **options).plan.actions():
            found.setdefault(action.kind.symbol, []).append(action.ids)
        return {symbol: list(IdSet.union(ids)) for symbol, ids in found.items()}

    def check_intent_first(self) -> None:
        """Rule 2: at the moment a delete arrives its ids are in a complete line of the state file."""

        def durable(ids: list[str]) -> None:
            content = self.state_path.read_bytes()
            lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
            intents = [e.ids for f in walk(lines) for e in f.events if isinstance(e, ev.Intent)]
            assert any(list(each) == ids for each in intents), "a request left before its intent was durable"

        self.on_delete(durable)

    def close(self) -> None:
        self.emulator.close()


@pytest.fixture
def cases(record_property: Callable[[str, object], None]) -> Callable[[int], None]:
    """`cases(n)`: this test went through `n` cases of its fault; without it a test counts as one."""

    def went_through(number: int) -> None:
        assert number > 0, "a fault that was never provoked proves nothing"
        record_property("cases", number)

    return went_through


@pytest.fixture(scope="session")
def make_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., World]]:
    """Worlds as many as wanted; keyword arguments are settings of the service."""
    numbers = count()
    base = tmp_path_factory.mktemp("worlds")
    made: list[World] = []

    def make(**settings: Any) -> World:
        root = base / str(next(numbers))
        root.mkdir()
        world = World(root, **settings)
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A service without lag or budget, with an index `docs` that holds doc-000 to doc-299."""
    made = make_world()
    made.seed(f"doc-{n:03}" for n in range(300))
    return made


@pytest.fixture
def busy(make_world: Callable[..., World]) -> World:
    """As `world`, but mutations take 30 s to be applied."""
    made = make_world(lag=30.0)
    made.seed(f"doc-{n:03}" for n in range(300))
    return made


def names(count_: int, start: int = 0) -> list[str]:
    return [f"doc-{n:03}" for n in range(start, start + count_)]


@pytest.fixture
def ids() -> Callable[..., list[str]]:
    """`ids(3)` is doc-000, doc-001, doc-002; `ids(2, 5)` begins at doc-005."""
    return names

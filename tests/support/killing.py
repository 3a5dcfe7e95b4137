"""A project whose runs are killed: how it is begun, run, taken over and judged, on any store."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import signal
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from reconciler.emulator import RunningEmulator, Settings, running
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.frames import Frame
from support.places import Place, begin
from support.witness import (
    BATCH,
    CONCURRENCY,
    DECLARED,
    KEPT,
    LISTED,
    PATIENCE,
    RULES,
    STRANGERS,
    Evidence,
    clock,
    require,
    statuses,
)
from support.zygote import Child, Ended, Zygote

TOKEN = "token-hunter2"


def service() -> RunningEmulator:
    """A service whose times can be compared with those of acknowledgements."""
    return running(Settings(budget=None, burst=None), clock=clock)


@dataclass
class Case:
    """One project, one state, one account of the emulator.

    Attributes:
        kills: how many of its runs were killed, or ended in the middle in another way.
        acknowledged: the heads of acknowledged frames, and when that was.
        unlocked: the commands that took the state from a dead run.
        torn: what stood after the last whole line of a file when a run had died.
    """

    zygote: Zygote
    service: RunningEmulator
    place: Place
    folder: Path
    account: str = field(default_factory=lambda: uuid.uuid4().hex)
    kills: int = 0
    acknowledged: dict[str, float] = field(default_factory=dict)
    unlocked: list[str] = field(default_factory=list)
    torn: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "manifests").mkdir(parents=True)
        absent: list[dict[str, Any]] = [
            {"index": name, "reason": "PRIV-1", "ids": ids} for name, ids in LISTED.items()
        ]
        absent.append({"index": "docs", "reason": "PRIV-2", "prefixes": ["old/"]})
        keep: list[dict[str, Any]] = [
            {
                "index": "docs",
                "reason": "LH-1",
                "ids": ["held-1", "old/held-4"],
                "prefixes": ["hold/", "old/hold/"],
            },
            {"index": "notes", "reason": "LH-2", "ids": ["note-000"]},
        ]
        document = {"version": 1, "account_id": self.account, "absent": absent, "keep": keep}
        (self.folder / "manifests" / "gdpr.yaml").write_text(json.dumps(document, ensure_ascii=False))
        api = {"batch_size": BATCH, "concurrency": CONCURRENCY}
        (self.folder / "reconciler.yaml").write_text(
            json.dumps({"version": 1, "api": api, "limits": {"max_percent": 100}})
        )
        for name in DECLARED:
            self.service.emulator.seed(self.account, name, [*DECLARED[name], *KEPT[name], *STRANGERS])
        if self.place.kind != "file":
            begin(self.place)

    # What is run

    @property
    def environment(self) -> dict[str, str]:
        return {
            "CLOUDFLARE_BASE_URL": self.service.base_url,
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "RECONCILER_STATE": self.place.url,
            **self.place.env,
        }

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, crash_at: int = 0, **options: Any
    ) -> Child:
        """A command as a process. `options`: `streams`, and twists (see crashing.TWISTS) by name."""
        streams = options.pop("streams", None)
        return self.zygote.start(
            *arguments, cwd=self.folder, env=self.environment if env is None else env, crash_at=crash_at,
            kind=self.place.kind, streams=streams, twists={"patience": PATIENCE, **options},
        )  # fmt: skip

    def end(self, child: Child) -> Ended:
        """Wait for it; what was acknowledged to it counts from now on."""
        ended = child.wait()
        positions = [int(head.partition(":")[0]) for head in ended.acknowledged]
        require(1, positions == sorted(set(positions)), f"acknowledged in this order: {positions}")
        self.acknowledged |= ended.acknowledged
        require(10, "hunter2" not in ended.out + ended.err, "a secret was shown")
        assert "Traceback" not in ended.err, ended.err
        return ended

    def run(self, *arguments: str, **options: Any) -> Ended:
        """A command, to its end. Options as in `start`."""
        return self.end(self.start(*arguments, **options))

    def kill(self, child: Child) -> Ended:
        """kill -9. It counts as a kill only if the process had not ended by itself."""
        child.signal(signal.SIGKILL)
        return self.count(self.end(child))

    def count(self, ended: Ended) -> Ended:
        """Count the kill, if that is how it ended."""
        self.kills += ended.code == -signal.SIGKILL
        return ended

    def apply(self, **options: Any) -> Ended:
        """Apply; where a dead run holds the state, take it over with the very command that is printed."""
        ended = self.run("apply", "--auto-approve", **options)
        while ended.code == 5:
            self.take_over(ended.err)
            ended = self.run("apply", "--auto-approve", **options)
        return ended

    def free(self) -> None:
        """What a person does where nothing proves that the dead run which holds the state is dead."""
        if self.place.kind != "file" and self.holder() is not None:
            ended = self.run("apply", "--auto-approve")
            if ended.code == 5:
                self.take_over(ended.err)
            else:  # its last frame was on its way when it died, and has arrived
                assert ended.code == 0, ended.err

    def take_over(self, said: str) -> None:
        """Run the command that a refused run printed, as it stands. What is secret is not in it but where libpq looks."""
        (line,) = [line for line in said.splitlines() if "reconciler state unlock" in line]
        who = r"held by run \w+ \((apply|state push)\) of .* on .*, pid \d+, .*since .*, last frame \d+ at "
        assert re.search(who, said), said
        self.unlocked.append(line)
        ended = self.printed(line[line.index("reconciler state unlock") :])
        assert ended.code == 0, ended.err

    def printed(self, command: str, **options: Any) -> Ended:
        """Run a command that was printed: nothing but the environment's credentials helps it."""
        env = {name: value for name, value in self.environment.items() if name != "RECONCILER_STATE"}
        env["PGPASSWORD"] = urlsplit(self.place.url).password or ""
        return self.run(*shlex.split(command)[1:], env=env, **options)

    # What is seen

    def frames(self) -> list[Frame]:
        """The log, as a process of its own reads it; without a state, nothing."""
        with closing(self.place.open()) as store:
            lines = list(store.read(0))
        require(10, not any(b"hunter2" in line for line in lines), "a secret is in the log")
        return list(walk(lines))

    def holder(self) -> str | None:
        """The run that holds the state, by the log."""
        found = None
        for frame in self.frames():
            for event in frame.events:
                if isinstance(event, ev.RunStarted):
                    found = frame.run
                elif isinstance(event, ev.RunFinished | ev.RunFenced):
                    found = None
        return found

    def requests(self, operation: str | None = "delete_by_ids") -> list[tuple[str, list[str]]]:
        """Every delete that arrived: (index, ids)."""
        record = self.service.emulator.record(operation=operation)
        return [(e.index or "", list(e.ids or ())) for e in record if e.account == self.account]

    def evidence(self) -> Evidence:
        """Everything as it is now."""
        emulator = self.service.emulator
        return Evidence(
            frames=self.frames(),
            acknowledged=dict(self.acknowledged),
            record=[entry for entry in emulator.record() if entry.account == self.account],
            live={name: frozenset(emulator.ids(self.account, name)) for name in DECLARED},
            kills=self.kills,
        )

    # What must hold

    def check(self) -> Evidence:
        """Every rule that can be seen at any moment."""
        seen = self.evidence()
        for rule in RULES:
            rule(seen)
        return seen

    def check_killed(self) -> None:
        """After a kill, besides: the log verifies (rule 8), and what has no answer is called unresolved (rule 6)."""
        seen = self.check()
        verified = self.run("state", "verify")
        require(8, verified.code == 0, verified.err)
        shown = json.loads(self.run("state", "show", "--format", "json").out)
        counts = {each["index"]: {k: n for k, n in each["counts"].items() if n} for each in shown["indexes"]}
        require(6, counts == statuses(seen), f"{counts} is shown, the log says {statuses(seen)}")
        if self.place.kind == "file" and (tail := self._bytes().rpartition(b"\n")[2]):
            self.torn.append(tail)

    def converge(self) -> None:
        """Rule 3: the same command again, and everything is gone, proven, and nothing is left to do."""
        ended = self.apply()
        require(3, ended.code == 0, ended.err)
        for index in DECLARED:
            live = self.service.emulator.ids(self.account, index)
            require(3, sorted(live) == sorted([*KEPT[index], *STRANGERS]), f"{index}: {live}")
        plan = self.run("plan", "--detailed-exitcode")
        require(3, plan.code == 0, plan.out)
        shown = json.loads(self.run("state", "show", "--format", "json").out)
        counts = {each["index"]: {k: n for k, n in each["counts"].items() if n} for each in shown["indexes"]}
        require(3, counts == {name: {"verified": len(ids)} for name, ids in DECLARED.items()}, counts)
        verified = self.run("state", "verify")
        require(8, verified.code == 0, verified.err)
        self.check_torn(self.check())

    def check_torn(self, seen: Evidence) -> None:
        """Rule 8: what a crash left half written is kept, and reported by whoever wrote next and lived to say so."""
        recovered = {e.sha256: e.path for _, e in seen.events() if isinstance(e, ev.Recovered)}
        kept = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in self._path.parent.glob("*.torn-*")}
        for digest, name in recovered.items():
            require(8, digest in kept and kept[digest].name == name, f"{name} is not what the log says")
        for tail in self.torn:
            digest = hashlib.sha256(tail).hexdigest()
            untouched = self._bytes().rpartition(b"\n")[2] == tail  # there was nothing left to write
            require(8, untouched or digest in kept, f"{tail[:80]!r} is gone")
            require(8, untouched or digest in recovered or self.kills > 1, f"{tail[:80]!r} was reported by nobody")

    @property
    def _path(self) -> Path:
        return Path(self.place.url.removeprefix("file:"))

    def _bytes(self) -> bytes:
        return self._path.read_bytes() if self._path.exists() else b""

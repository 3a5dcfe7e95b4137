"""What the world saw, compared with what the log says: the rules that must never break, checked from outside.

The witness is the emulator's own record of the requests it accepted, and the truth of its indexes.
"""

from __future__ import annotations

import json
import re
import shlex
import uuid
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from reconciler.emulator import RunningEmulator
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.frames import Frame
from support.places import Place, begin
from support.zygote import Child, Ended, Zygote

BATCH, CONCURRENCY = 50, 2
DECLARED = {"docs": [f"doc-{n:03}" for n in range(130)], "notes": [f"note-{n:03}\n'é😀" for n in range(70)]}
KEPT = {"docs": ["held-1", "hold/2"], "notes": []}
LEAST = sum(ceil(len(ids) / BATCH) for ids in DECLARED.values())


@dataclass
class Case:
    """One project, one state, one account of the emulator."""

    zygote: Zygote
    service: RunningEmulator
    place: Place
    folder: Path
    account: str = field(default_factory=lambda: uuid.uuid4().hex)
    kills: int = 0
    acknowledged: list[str] = field(default_factory=list)
    unlocked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "manifests").mkdir(parents=True)
        document = {
            "version": 1,
            "account_id": self.account,
            "absent": [{"index": name, "reason": "PRIV-1", "ids": ids} for name, ids in DECLARED.items()],
            "keep": [{"index": "docs", "reason": "LH-1", "ids": ["held-1"], "prefixes": ["hold/"]}],
        }
        (self.folder / "manifests" / "gdpr.yaml").write_text(json.dumps(document, ensure_ascii=False))
        api = {"batch_size": BATCH, "concurrency": CONCURRENCY}
        (self.folder / "reconciler.yaml").write_text(
            json.dumps({"version": 1, "api": api, "limits": {"max_percent": 100}})
        )
        for name, ids in DECLARED.items():
            stays = [*KEPT[name], *(f"stays-{n}" for n in range(5))]
            self.service.emulator.seed(self.account, name, [*ids, *stays])
        if self.place.kind != "file":
            begin(self.place)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "CLOUDFLARE_BASE_URL": self.service.base_url,
            "CLOUDFLARE_API_TOKEN": "token-hunter2",
            "RECONCILER_STATE": self.place.url,
            **self.place.env,
        }

    def start(self, *arguments: str, crash_at: int = 0, lease: float = 0.0) -> Child:
        return self.zygote.start(
            *arguments, cwd=self.folder, env=self.environment, crash_at=crash_at, kind=self.place.kind, lease=lease
        )

    def run(self, *arguments: str, crash_at: int = 0, lease: float = 0.0) -> Ended:
        ended = self.start(*arguments, crash_at=crash_at, lease=lease).wait()
        self.acknowledged += ended.acknowledged
        assert "hunter2" not in ended.out + ended.err, "a secret was shown"
        assert "Traceback" not in ended.err, ended.err
        return ended

    def apply(self, *, crash_at: int = 0) -> Ended:
        """Apply; where a dead run holds the state, take it over with the very command that is printed."""
        ended = self.run("apply", "--auto-approve", crash_at=crash_at)
        while ended.code == 5:
            self._take_over(ended.err)
            ended = self.run("apply", "--auto-approve", crash_at=crash_at)
        return ended

    def _take_over(self, said: str) -> None:
        (line,) = [line for line in said.splitlines() if "reconciler state unlock" in line]
        command = shlex.split(line[line.index("reconciler state unlock") :])
        assert re.search(
            r"held by run \w+ \(apply\) of .* on .*, pid \d+, .*since .*, last frame \d+ at ", said
        ), said
        assert "hunter2" not in line
        command[command.index("--reason") + 1] = "killed by the test"
        # The password is not in the command: it comes from where the person has it.
        self.unlocked.append(line)
        where = command.index("--state") if "--state" in command else None
        if where is not None and self.place.kind == "postgres":
            del command[where : where + 2]
        ended = self.run(*command[1:])
        assert ended.code == 0, ended.err

    # What the rules say

    def frames(self) -> list[Frame]:
        store = self.place.open()
        found = list(walk(store.read(0)))
        store.close()
        return found

    def requests(self) -> list[tuple[str, list[str]]]:
        """Every delete that arrived: (index, ids)."""
        record = self.service.emulator.record(operation="delete_by_ids")
        return [(e.index or "", list(e.ids or ())) for e in record if e.account == self.account]

    def check(self) -> None:
        """Whatever has happened so far."""
        frames = self.frames() if self.place_exists() else []
        self.rule_1(frames)
        self.rule_2(frames)
        self.rule_4()
        self.rule_5(frames)
        self.rule_6(frames)
        self.rule_9()

    def place_exists(self) -> bool:
        store = self.place.open()
        found = store.exists()
        store.close()
        return found

    def rule_1(self, frames: list[Frame]) -> None:
        """Every frame that was acknowledged to a run is read back, in order; walking them checked the chain."""
        heads = [f"{frame.position}:{frame.hash}" for frame in frames]
        assert [head for head in heads if head in set(self.acknowledged)] == self.acknowledged, "rule 1"

    def rule_2(self, frames: list[Frame]) -> None:
        """Every delete that arrived is named, id by id, by an intent of its index."""
        targets = {e.target: e.index for f in frames for e in f.events if isinstance(e, ev.TargetSeen)}
        intents = [(targets[e.target], list(e.ids)) for f in frames for e in f.events if isinstance(e, ev.Intent)]
        for request in self.requests():
            assert request in intents, f"rule 2: {request} was sent without an intent"

    def rule_4(self) -> None:
        """No id outside the manifests was sent, no kept one, and what nobody declared is still there."""
        for index, ids in self.requests():
            assert set(ids) <= set(DECLARED[index]) - set(KEPT[index]), "rule 4"
        for index in DECLARED:
            there = set(self.service.emulator.ids(self.account, index))
            assert there >= {*KEPT[index], *(f"stays-{n}" for n in range(5))}, "rule 4"

    def rule_5(self, frames: list[Frame]) -> None:
        """What is called verified was processed before, and is absent in truth."""
        processed: set[int] = set()
        for event in (e for f in frames for e in f.events):
            if isinstance(event, ev.Processed):
                processed |= _numbers(event.batches)
            if isinstance(event, ev.Verified):
                assert _numbers(event.batches) <= processed, "rule 5"
        intents = {e.batch: e for f in frames for e in f.events if isinstance(e, ev.Intent)}
        targets = {e.target: e.index for f in frames for e in f.events if isinstance(e, ev.TargetSeen)}
        for event in (e for f in frames for e in f.events if isinstance(e, ev.Verified)):
            there = set(self.service.emulator.ids(self.account, targets[event.target]))
            for number in _numbers(event.batches):
                assert there.isdisjoint(intents[number].ids), "rule 5"

    def rule_6(self, frames: list[Frame]) -> None:
        """An acceptance in the log is one that the service gave, for just those ids."""
        record = self.service.emulator.record(operation="delete_by_ids")
        given = {e.mutation_id: sorted(e.ids or ()) for e in record if e.account == self.account and e.accepted}
        intents = {e.batch: e for f in frames for e in f.events if isinstance(e, ev.Intent)}
        for event in (e for f in frames for e in f.events if isinstance(e, ev.Accepted)):
            assert given.get(event.mutation_id) == sorted(intents[event.batch].ids), "rule 6"

    def rule_9(self) -> None:
        """No more requests than full batches need, but for what was in flight at a kill; none larger than allowed."""
        sent = self.requests()
        assert all(len(ids) <= BATCH for _, ids in sent), "rule 9"
        assert len(sent) <= LEAST + self.kills * 2 * CONCURRENCY, "rule 9"

    def converge(self) -> None:
        """Rule 3: the same command again, and everything is gone, proven, and nothing is left to do."""
        verified = self.run("state", "verify")
        assert verified.code == 0, f"rule 8: {verified.err}"
        ended = self.apply()
        assert ended.code == 0, f"rule 3: {ended.err}"
        for index, ids in DECLARED.items():
            assert set(self.service.emulator.ids(self.account, index)).isdisjoint(ids), "rule 3"
        plan = self.run("plan", "--detailed-exitcode")
        assert plan.code == 0, f"rule 3: {plan.out}"
        shown = json.loads(self.run("state", "show", "--format", "json").out)
        for each in shown["indexes"]:
            assert each["counts"]["verified"] == len(DECLARED[each["index"]]), "rule 3"
            assert each["counts"]["unresolved"] == each["counts"]["accepted"] == 0, "rule 6"
        self.check()


def _numbers(ranges: object) -> set[int]:
    return {n for first, last in ranges for n in range(first, last + 1)}  # type: ignore[attr-defined]

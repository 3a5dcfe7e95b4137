"""Random kills on every store, as one command, and a table of what held.

    python tests/faults/kills.py --kills 200 --store file --store postgres --store seaweed

Each kill hits an `apply` at a random moment; after it, and after the run that follows, the rules of
tests/support/witness.py are checked against what the emulator saw. Exits 1 where one was broken.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from reconciler.emulator import RunningEmulator, Settings, running
from support.fixtures import Postgres, start_seaweed
from support.places import new_place
from support.witness import LEAST, Case
from support.zygote import Zygote

#: Kills in a row on one state, at most.
IN_A_ROW = 3


def kill(case: Case, count: int, length: float, chance: random.Random) -> int:
    """Up to `count` kills on one state, each checked, then the run that converges; how many hit a run."""
    hit = 0
    for _ in range(count):
        child = case.start("apply", "--auto-approve")
        time.sleep(chance.uniform(0.0, length))
        child.signal(signal.SIGKILL)
        ended = child.wait()
        case.acknowledged += ended.acknowledged
        if ended.code == -signal.SIGKILL:
            case.kills += 1
            hit += 1
        case.check()
    case.converge()
    return hit


def measure(case: Case) -> float:
    """Seconds that an apply takes which nobody kills."""
    began = time.monotonic()
    ended = case.apply()
    assert ended.code == 0, ended.err
    return time.monotonic() - began


class _Servers:
    """What `new_place` asks a test's request for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def getfixturevalue(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = {"postgres": Postgres, "seaweed": start_seaweed}[name]()
        return self._made[name]

    def stop(self) -> None:
        for server in self._made.values():
            server.stop()


def kill_on(
    store: str, kills: int, seed: int, zygote: Zygote, service: RunningEmulator, servers: Any, root: Path
) -> Counter[str]:
    """All kills on one store; what was counted."""
    chance, told = random.Random(seed), Counter[str]()
    numbers = iter(range(1_000_000))

    def new() -> Case:
        folder = root / f"{store}-{next(numbers)}" / "project"
        folder.mkdir(parents=True)
        return Case(zygote, service, new_place(store, servers, folder), folder)

    length = measure(new())
    while told["kills"] < kills:
        case = new()
        told["kills"] += kill(case, min(IN_A_ROW, kills - told["kills"]), length, chance)
        frames = case.frames()
        told["states"] += 1
        told["accepted deletes"] += len(case.requests())
        told["acknowledged frames"] += len(case.acknowledged)
        told["frames never acknowledged"] += len(frames) - len(set(case.acknowledged))
        told["deletes sent again"] += len(case.requests()) - LEAST
        case.place.close()
        service.emulator.clear_record()
    return told


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--store", action="append", choices=["file", "postgres", "seaweed"])
    parser.add_argument("--seed", type=int, default=20261126)
    options = parser.parse_args()
    servers = _Servers()
    columns = (
        "states", "kills", "accepted deletes", "acknowledged frames", "frames never acknowledged", "deletes sent again",
    )  # fmt: skip
    print(f"| store | {' | '.join(columns)} | rules broken |")
    print("|---|" + "---:|" * (len(columns) + 1))
    broken = 0
    with (
        tempfile.TemporaryDirectory() as root,
        running(Settings(budget=None, burst=None)) as service,
        Zygote() as zygote,
    ):
        try:
            for store in options.store or ["file", "postgres", "seaweed"]:
                try:
                    told = kill_on(store, options.kills, options.seed, zygote, service, servers, Path(root))
                except AssertionError as violation:
                    broken += 1
                    print(f"| {store} | seed {options.seed} | **{violation}** |")
                    continue
                print(f"| {store} | {' | '.join(f'{told[name]:,}' for name in columns)} | 0 |", flush=True)
        finally:
            servers.stop()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

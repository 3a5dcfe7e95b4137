"""Random kills on every store, as one command, and a table of what held.

    python tests/faults/kills.py --kills 200 --store file --store s3 --store postgres

Each kill hits an `apply` at a random moment, up to three in a row on one state; after each of them, and after the run
that then comes to its end, the rules of tests/support/witness.py are checked against what the emulator saw. Exits 1
where one was broken.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fixtures import Postgres, start_seaweed
from support.killing import Case, service
from support.places import new_place
from support.witness import LEAST, Broken
from support.zygote import Zygote

#: Kills in a row on one state, at most.
IN_A_ROW = 3

#: Stores by the names that people know them by.
STORES = {"file": "file", "s3": "seaweed", "postgres": "postgres"}

COLUMNS = (
    "states", "kills", "of these within a run", "accepted deletes witnessed", "acknowledged frames checked",
    "frames beyond the acknowledged ones", "deletes beyond the minimum",
)  # fmt: skip


def kill(case: Case, times: int, length: float, chance: random.Random, told: Counter[str] | None = None) -> int:
    """Up to `times` kills on one state, each checked, then the run that converges; how many hit a run."""
    hit = 0
    for _ in range(times):
        child = case.start("apply", "--auto-approve")
        time.sleep(chance.uniform(0.0, length))
        died = case.kill(child).code == -signal.SIGKILL
        hit += died
        if told is not None:
            told["kills"] += died
            told["of these within a run"] += died and case.holder() is not None
        case.check_killed()
        case.free()
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


def kill_on(store: str, kills: int, seed: int, zygote: Zygote, servers: Any, root: Path) -> Counter[str]:
    """All kills on one store; what was counted, and which rules were broken."""
    chance, told, numbers = random.Random(seed), Counter[str](), count()

    def new(witness: Any) -> Case:
        folder = root / f"{store}-{next(numbers)}" / "project"
        folder.mkdir(parents=True)
        return Case(zygote, witness, new_place(STORES[store], servers, folder), folder)

    with service() as witness:
        length = measure(new(witness))
    while told["kills"] < kills:
        with service() as witness:
            case = new(witness)
            told["states"] += 1
            try:
                kill(case, min(IN_A_ROW, kills - told["kills"]), length, chance, told)
            except Broken as broken:
                told[f"rule {broken.rule}"] += 1
                print(f"{store}, seed {seed}, state {told['states']}: {broken}", file=sys.stderr)
            seen = case.evidence()
            told["accepted deletes witnessed"] += sum(entry.accepted for entry in seen.deletes)
            told["acknowledged frames checked"] += len(seen.acknowledged)
            begun = 0 if store == "file" else 1  # by the harness, before anything was acknowledged to a child
            told["frames beyond the acknowledged ones"] += len(seen.frames) - len(seen.acknowledged) - begun
            told["deletes beyond the minimum"] += max(0, len(seen.deletes) - LEAST)
            case.place.close()
    return told


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="on each store")
    parser.add_argument("--store", action="append", choices=list(STORES), help="may be repeated; all of them")
    parser.add_argument("--seed", type=int, default=20261126)
    options = parser.parse_args()
    servers, broken = _Servers(), 0
    print(f"| store | {' | '.join(COLUMNS)} | rules broken |")
    print("|---|" + "---:|" * len(COLUMNS) + "---|")
    with tempfile.TemporaryDirectory() as root, Zygote() as zygote:
        try:
            for store in options.store or STORES:
                told = kill_on(store, options.kills, options.seed, zygote, servers, Path(root))
                rules = [f"{name}: {times}" for name, times in sorted(told.items()) if name.startswith("rule")]
                broken += len(rules)
                counted = " | ".join(f"{told[name]:,}" for name in COLUMNS)
                print(f"| {store} | {counted} | {', '.join(rules) or 'none'} |", flush=True)
        finally:
            servers.stop()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

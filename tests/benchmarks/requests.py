"""The table of requests: what a deletion takes from plan to audit, beside the least and the official SDK.

    python tests/benchmarks/requests.py [--quick | --vectors N] [--json FILE]

Every request is counted at the service, which runs in this process on a clock of its own with 30 s of lag. Ends
in 1 when a step took more than the least it can take, its fixed reads and the polls that the lag allows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Instead of this folder, in which a library that wants the well-known package would find this file.
sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path(__file__).resolve().parent]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.counting import (  # noqa: E402 - found by what stands above
    LAG,
    STEPS,
    Cell,
    Measured,
    Steps,
    by_name,
    complaints,
    least,
    measure,
    measure_sdk,
    naive,
    pages,
    polls,
)

VECTORS = (1_000, 100_000, 1_000_000)
IDS = (100, 10_000, 100_000)

#: Above this many ids the official SDK takes too long, and its formula stands in its place.
SDK_IDS = 10_000

NOTES = f"""\
- Least: deletes ceil(ids / 100). Reads of what is there, the cheaper of ceil(ids / 20) by name and one page for each
  1,000 vectors of the index as it is then (an empty index is one page).
- Fixed, after the `+`: `plan --refresh` reads `created_on` before and after, and the size of the index where no list
  counts it. `apply`
  reads `created_on` before its first delete, before the proof, and after a list or after each 2,000 or so ids proven
  by name. `verify --all` does so around its reads; nobody tells it the size of the index, so it asks for the first
  page of a list, which is one request more where asking by name turns out to be cheaper.
- Polls: looks at the pointer until the service has applied the last mutation, here {LAG:.0f} s after it accepted it:
  0.3 s after the last acceptance, then with pauses from 0.3 s to 10 s that grow by half.
- SDK: the official `cloudflare` package in plain loops: deletes of 100, one wait for the last mutation with the same
  polls, and every look at the ids by get_by_ids, 20 at once. It reads no `created_on` and keeps no record. Counted on
  a socket; where the number is in brackets, computed by the formula that every counted one was equal to.
"""


@dataclass(frozen=True)
class Row:
    """One cell with all that is known of it. `counted`: the SDK was run, not computed."""

    cell: Cell
    measured: Measured
    sdk: Steps
    counted: bool

    def complaints(self) -> list[str]:
        """What does not hold."""
        found = complaints(self.cell, self.measured)
        if self.sdk != naive(self.cell):
            found.append(f"SDK, {self.cell.ids:,} of {self.cell.vectors:,}: {self.sdk}, not as its formula says")
        return found

    def document(self) -> dict[str, object]:
        """As JSON."""
        cell, lowest = self.cell, least(self.cell)
        steps = {
            step: {
                "measured": self.measured.steps[step].document(),
                "least": lowest[step].document(),
                "sdk": self.sdk[step].document(),
            }
            for step in STEPS
        }
        return {"vectors": cell.vectors, "ids": cell.ids, "sdk_counted": self.counted, "steps": steps}


def cells(vectors: Iterable[int]) -> list[Cell]:
    """The cells of the table."""
    return [Cell(size, ids) for size in vectors for ids in IDS if ids <= size]


def row(cell: Cell) -> Row:
    """Measure one cell."""
    run_sdk = cell.ids <= SDK_IDS
    return Row(cell, measure(cell), measure_sdk(cell) if run_sdk else naive(cell), run_sdk)


def markdown(rows: Sequence[Row]) -> str:
    """The table and what its columns mean."""
    reads = "`plan --refresh` | least | SDK | `verify --all` | least | SDK"
    sends = "deletes + proof + `created_on` + polls | in all | least | SDK"
    return "\n".join(
        [
            "Reading which of the ids are there, before and after:",
            "",
            *_table(f"vectors | ids | {reads}", (_reads(each) for each in rows)),
            "",
            "`apply`, until every id is proven absent:",
            "",
            *_table(f"vectors | ids | {sends}", (_sends(each) for each in rows)),
            "",
            NOTES,
        ]
    )


def _table(head: str, lines: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {head} |", "|" + "---:|" * (head.count("|") + 1), *(f"| {' | '.join(line)} |" for line in lines)]


def _reads(each: Row) -> list[str]:
    cell, found = each.cell, [f"{each.cell.vectors:,}", f"{each.cell.ids:,}"]
    for step, vectors in (("refresh", cell.vectors), ("verify", cell.left)):
        made, lowest = each.measured.steps[step], least(cell)[step]
        arithmetic = f"min({by_name(cell.ids):,}, {pages(vectors):,}) + {lowest.fixed}"
        found += [f"{made.proof:,} + {made.fixed}", arithmetic, _sdk(each, step)]
    return found


def _sends(each: Row) -> list[str]:
    cell, made, lowest = each.cell, each.measured.steps["apply"], least(each.cell)["apply"]
    parts = f"{made.deletes:,} + {made.proof:,} + {made.created_on} + {made.polls}"
    proof = f"min({by_name(cell.ids):,}, {pages(cell.left):,})"
    arithmetic = f"{lowest.deletes:,} + {proof} + {lowest.fixed} + {lowest.polls} = {lowest.total:,}"
    return [f"{cell.vectors:,}", f"{cell.ids:,}", parts, f"{made.total:,}", arithmetic, _sdk(each, "apply")]


def _sdk(each: Row, step: str) -> str:
    total = f"{each.sdk[step].total:,}"
    return total if each.counted else f"({total})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="leave out the index of 1,000,000 vectors")
    size.add_argument("--vectors", type=int, choices=VECTORS, help="only the index of this size")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the numbers there, too")
    chosen = parser.parse_args(arguments)
    sizes = [
        each for each in VECTORS if chosen.vectors in (None, each) and not (chosen.quick and each == VECTORS[-1])
    ]
    rows = []
    for cell in cells(sizes):
        began = time.perf_counter()
        rows.append(row(cell))
        spent = time.perf_counter() - began
        sys.stderr.write(f"{cell.ids:,} of {cell.vectors:,}: {spent:.1f} s\n")
    sys.stdout.write(markdown(rows))
    if chosen.json is not None:
        document = {"lag_seconds": LAG, "polls": polls(LAG), "cells": [each.document() for each in rows]}
        chosen.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    found = [line for each in rows for line in each.complaints()]
    sys.stderr.writelines(f"does not hold: {line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

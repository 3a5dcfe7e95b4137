"""What very many indexes would take: arithmetic and a small simulation. Nothing is sent, nothing is random.

    python tests/benchmarks/scale.py [--measured FILE] [--indexes N] [--vectors N]

`--measured`: the JSON of `python tests/benchmarks`; what stores sustain and what a log costs is taken from it.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from reconciler.applier import LINGER

# The service's numbers (its documentation, and what others measured).
DELETE_IDS, GET_IDS, PAGE_IDS = 100, 20, 1_000
BUDGET, WINDOW = 1_200, 300.0
ADDRESS_A_SECOND = 200
#: Ids proven by name between two reads of `created_on`.
SLICE_IDS = 2_000

DAY = 86_400.0
A_TOKEN_A_DAY = BUDGET * DAY / WINDOW

#: Seconds that an append is assumed to take where none was measured; the last is for a bucket far away.
APPENDS = {"file": 0.0006, "postgres": 0.001, "s3": 0.005}
FAR = 0.05
#: Bytes of the log for an id of 36 bytes, and for a target with its declaration, beside its ids.
LOG_BYTES_AN_ID, LOG_BYTES_A_TARGET = 43.6, 1_640.0


@dataclass(frozen=True)
class Work:
    """So many ids are to be erased from each of `indexes`, that have `vectors` each."""

    title: str
    indexes: int
    vectors: int
    ids: int

    @property
    def deletes(self) -> int:
        """Requests that delete, of one index."""
        return ceil(self.ids / DELETE_IDS)

    @property
    def proof(self) -> int:
        """Requests that prove it: the cheaper of names and a list of what is left."""
        return min(ceil(self.ids / GET_IDS), max(1, ceil((self.vectors - self.ids) / PAGE_IDS)))

    @property
    def fixed(self) -> int:
        """Reads of `created_on`, and one look at the pointer: at such loads the wait is over when its turn comes."""
        by_name = self.proof == ceil(self.ids / GET_IDS)
        return 1 + 1 + (ceil(self.ids / SLICE_IDS) if by_name else 1) + 1

    @property
    def requests(self) -> int:
        """Of all indexes."""
        return self.indexes * (self.deletes + self.proof + self.fixed)

    @property
    def days(self) -> float:
        """With one token."""
        return self.requests / A_TOKEN_A_DAY

    def tokens(self, days: float) -> int:
        """That are needed to be done in `days`."""
        return ceil(self.days / days)

    @property
    def log_bytes(self) -> float:
        """Of the log, or of all logs together."""
        return self.indexes * (self.ids * LOG_BYTES_AN_ID + LOG_BYTES_A_TARGET)


def work(indexes: int, vectors: int) -> list[Work]:
    """What may have to be erased."""
    return [
        Work("one person: 50 vectors in each index", indexes, vectors, 50),
        Work("1 % of everything", indexes, vectors, vectors // 100),
        Work("everything", indexes, vectors, vectors),
    ]


@dataclass(frozen=True)
class Pace:
    """What a run reaches, a second."""

    requests: float
    frames: float


def simulate(*, tokens: int, append: float, concurrency: int, latency: float = 0.2, requests: int = 4_000) -> Pace:
    """One run as the applier works: intent durable, request, outcome recorded; one append at a time carries all.

    Outcomes wait for others, for `LINGER` seconds at most, while more is in reserve than starts during two appends.

    Args:
        tokens: whose budgets it may spend, evenly over time.
        append: seconds until a frame is durable.
        concurrency: requests in flight; intents run at most twice as far ahead.
        latency: seconds from a request to its answer.
        requests: after so many it ends.
    """
    spacing = WINDOW / (BUDGET * tokens)
    now, next_send, woken, first, frames = 0.0, 0.0, -1.0, 0.0, 0
    intended = ready = in_flight = unrecorded = recorded = sent = answered = 0
    events: list[tuple[float, str, int]] = []
    appending = False
    while recorded < requests:
        ahead = intended - sent
        fresh = min(2 * concurrency - ahead, requests - intended)
        reserve = ready - (concurrency - in_flight if next_send <= now else 0)
        enough = 2 * append * answered / now if now else 0.0
        waits = reserve > enough and (not unrecorded or now < first + LINGER)
        if not appending and not waits and (unrecorded or fresh > 0):
            # Outcomes first, then the next intents: all in one frame.
            heapq.heappush(events, (now + append, "append", unrecorded))
            intended += fresh
            granted, unrecorded, appending = fresh, 0, True
        while ready and in_flight < concurrency and next_send <= now:
            ready, in_flight, sent = ready - 1, in_flight + 1, sent + 1
            next_send = max(next_send, now - spacing) + spacing
            heapq.heappush(events, (now + latency, "answer", 0))
        if ready and in_flight < concurrency and woken < next_send:
            woken = next_send
            heapq.heappush(events, (next_send, "send", 0))
        now, kind, carried = heapq.heappop(events)
        if kind == "append":
            appending, frames = False, frames + 1
            recorded, ready = recorded + carried, ready + granted
        elif kind == "answer":
            if not unrecorded:
                first = now
                heapq.heappush(events, (first + LINGER, "waited", 0))
            in_flight, unrecorded, answered = in_flight - 1, unrecorded + 1, answered + 1
    return Pace(requests / now, frames / now)


@dataclass(frozen=True)
class Basis:
    """What the arithmetic rests on. `measured`: whether a benchmark said so, or it is assumed."""

    appends: dict[str, float]
    load_seconds_an_id: float | None
    memory_bytes_an_id: float | None
    measured: frozenset[str]


def basis(document: dict[str, Any] | None) -> Basis:
    """From the JSON of a benchmark."""
    appends, measured = dict(APPENDS), set()
    load = memory = None
    bare, largest = 0.0, 0
    for case in (document or {}).get("cases", []):
        name, size = case["case"], case["ids"]
        if name == "plan of one id" and case["memory_bytes"]:
            bare = median(case["memory_bytes"])
        if name.startswith("recording frames, ") and case["figures"]:
            store = name.rpartition(" ")[2]
            appends[store] = 1 / median(case["figures"]["frames_a_second"])
            measured.add(store)
        if name == "plan, sorted, all recorded, cache cold" and size > largest and case["wall_seconds"]:
            largest = size
            load = median(case["wall_seconds"]) / size
            memory = (median(case["memory_bytes"]) - bare) / size
    return Basis(appends, load, memory, frozenset(measured))


def report(chosen: Sequence[Work], known: Basis) -> str:
    """As Markdown."""
    sentence = (
        f"One token: {BUDGET:,} requests in {WINDOW:.0f} s, {A_TOKEN_A_DAY:,.0f} a day. One address: at most "
        f"{ADDRESS_A_SECOND} a second, as many as {ADDRESS_A_SECOND * WINDOW / BUDGET:.0f} tokens."
    )
    parts = "requests an index: deletes + proof + fixed"
    head = f"| erase | ids | {parts} | all requests | days, 1 token | tokens for 30 days | for 1 day | log |"
    lines = [sentence, "", head, "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for each in chosen:
        parts = f"{each.deletes:,} + {each.proof:,} + {each.fixed:,}"
        lines.append(
            f"| {each.title} | {each.indexes * each.ids:,} | {parts} | {each.requests:,} | {_short(each.days)} "
            f"| {each.tokens(30):,} | {each.tokens(1):,} | {_bytes(each.log_bytes)} |"
        )
    runs = "1 token, 8 at once | 10 tokens, 32 at once | 50 tokens, 64 at once"
    lines += [
        "",
        f"| store | an append | frames a second, one writer | {runs} |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for store, append in [*known.appends.items(), ("s3, 50 ms a PUT", FAR)]:
        said = store if store in known.measured or "50" in store else f"{store} (assumed)"
        cells = [
            f"{pace.requests:.0f} in {pace.frames:.0f}"
            for tokens, concurrency in ((1, 8), (10, 32), (50, 64))
            for pace in [simulate(tokens=tokens, append=append, concurrency=concurrency)]
        ]
        lines.append(f"| {said} | {append * 1000:.1f} ms | {1 / append:,.0f} | {' | '.join(cells)} |")
    lines += [
        "",
        f"The last three columns: deletes recorded a second, and in how many frames; budgets allow {BUDGET / WINDOW:.0f} a token; answers take 200 ms.",
    ]
    if known.load_seconds_an_id and known.memory_bytes_an_id:
        lines.append(
            f"A plan of a log costs {known.load_seconds_an_id * 1e6:.2f} µs and {known.memory_bytes_an_id:.0f} bytes of "
            f"memory an id: a minute is {60 / known.load_seconds_an_id / 1e6:,.0f} million ids, 4 GB are "
            f"{4e9 / known.memory_bytes_an_id / 1e6:,.0f} million."
        )
    return "\n".join(lines) + "\n"


def _short(days: float) -> str:
    return f"{days:,.1f}" if days < 100 else f"{days:,.0f}"


def _bytes(value: float) -> str:
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if value >= size:
            return f"{value / size:,.0f} {unit}"
    return f"{value / 1e3:,.0f} kB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", metavar="FILE", type=Path, help="JSON of python tests/benchmarks")
    parser.add_argument("--indexes", metavar="N", type=int, default=50_000)
    parser.add_argument("--vectors", metavar="N", type=int, default=20_000_000, help="of each index")
    chosen = parser.parse_args(arguments)
    document = None if chosen.measured is None else json.loads(chosen.measured.read_text(encoding="utf-8"))
    sys.stdout.write(report(work(chosen.indexes, chosen.vectors), basis(document)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

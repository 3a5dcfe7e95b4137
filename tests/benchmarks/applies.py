"""apply and verify against a service that costs next to nothing, in a process of its own (support.fakeservice)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping

from benchmarks import data
from benchmarks.bench import RECONCILER, Bench, Cache, bare_plan, floor
from benchmarks.measuring import PYTHON, Case, Done, Wrong, figures_printed, finished
from support.fakeservice import reset, running, stats_of

#: Requests at once, and seconds until the answer.
PACES = ((8, 0.05), (32, 0.2))
#: Deletes of a run of which the pace is measured: about 12 s at these paces.
DELETES = 2_000
#: From this size up the pace is measured in full.
BY_DEFAULT = 100_000
#: No budget of requests stands in the way.
UNLIMITED = 1_000_000_000

BUDGET = "apply, a budget of 1,200 requests"
_BATCH = 100


def pace_name(concurrency: int, latency: float) -> str:
    """Of a case."""
    return f"apply, {concurrency} at once, {latency * 1000:.0f} ms"


def run(bench: Bench) -> None:
    """All of it."""
    _pace(bench)
    bench.measure([_budget(bench)])
    with running() as address:
        for size in bench.sizes:
            # A hundred thousand requests take minutes, and their memory does not vary.
            few = 1 if size > 1_000_000 else min(bench.runs, 3) if size > 100_000 else None
            cases = [bare_plan(bench), floor(bench, size)]
            for order in data.ORDERS:
                cases.append(_apply(bench, f"apply, {order}", size, address, order=order, runs=few))
                cases.append(_verify(bench, f"verify --all, {order}", size, address, order, few))
            bench.measure(cases)
            shutil.rmtree(bench.work / "projects", ignore_errors=True)


def _pace(bench: Bench) -> None:
    deletes = DELETES if bench.sizes[-1] >= BY_DEFAULT else -(-bench.sizes[-1] // _BATCH)
    size = deletes * _BATCH
    cases = []
    for concurrency, latency in PACES:
        address = bench.stack.enter_context(running(latency=latency))
        title = pace_name(concurrency, latency)
        at_best = concurrency / latency
        cases.append(_apply(bench, title, size, address, concurrency=concurrency, at_best=at_best))
    bench.measure(cases)


def _apply(
    bench: Bench,
    title: str,
    size: int,
    address: str,
    *,
    order: str = "any order",
    concurrency: int = 8,
    at_best: float = 0.0,
    runs: int | None = None,
) -> Case:
    short = re.sub(r"[^a-z0-9]+", "-", f"{title}-{size}")
    ids = data.ids(bench.work, size)
    api = {"concurrency": concurrency, "requests_per_five_minutes": UNLIMITED}
    folder = data.project(bench.folder(short), ids.path(order), **api)
    cache = Cache(bench.folder("caches", short) / "used")

    def before() -> None:
        cache.reset()
        (folder / data.STATE).unlink(missing_ok=True)
        reset(address)

    def check(done: Done) -> Mapping[str, float]:
        finished(done)
        _expect(done, rf"Verified absent: {size:,} ids")
        counted = stats_of(address)
        deletes, requests = counted["requests"]["delete_by_ids"], sum(counted["requests"].values())
        if deletes != -(-size // _BATCH):
            raise Wrong(f"{deletes} deletes for {size} ids")
        log = (folder / data.STATE).stat().st_size
        figures = {
            "requests": requests,
            "cpu_milliseconds_a_request": done.cpu / requests * 1000,
            "state_bytes_an_id_byte": log / ids.bytes,
            "deletes_a_second": deletes / counted["seconds"],
        }
        return {**figures, "pace": figures["deletes_a_second"] / at_best} if at_best else figures

    command = [*RECONCILER, "apply", "--auto-approve"]
    return Case(title, size, command, folder, {**_reaching(address), **cache.variables}, before, check, runs)


def _verify(bench: Bench, title: str, size: int, address: str, order: str, runs: int | None) -> Case:
    short = re.sub(r"[^a-z0-9]+", "-", f"{title}-{size}")
    ids = data.ids(bench.work, size)
    state = ids.folder / f"{order.replace(' ', '-')}-loopback.log"
    if not state.exists():
        data.log(ids.path(order), state, origin="loopback")
    folder = data.project(bench.folder(short), ids.path(order), requests_per_five_minutes=UNLIMITED)
    cache = Cache(bench.folder("caches", short) / "used")

    def before() -> None:
        cache.reset()
        shutil.copy(state, folder / data.STATE)
        reset(address)

    def check(done: Done) -> None:
        finished(done)
        _expect(done, rf"Verify: {size:,} ids verified absent now")

    command = [*RECONCILER, "verify", "--all"]
    return Case(title, size, command, folder, {**_reaching(address), **cache.variables}, before, check, runs)


def _budget(bench: Bench) -> Case:
    """On a clock of its own, against the emulator in the same process: five minutes are over at once."""
    deletes = 1_250 if bench.quick else 3_700
    command = [PYTHON, "-m", "benchmarks.budget", str(deletes)]
    return Case(BUDGET, deletes * _BATCH, command, bench.folder("budget"), check=figures_printed, runs=1)


def _expect(done: Done, text: str) -> None:
    if not re.search(text, done.said()):
        raise Wrong(f"it does not say {text!r}: {done.said()[-300:]!r}")


def _reaching(address: str) -> dict[str, str]:
    return {"CLOUDFLARE_API_TOKEN": "any", "CLOUDFLARE_BASE_URL": f"{address}/client/v4"}

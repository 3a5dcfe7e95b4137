"""Plans: side files in any order and sorted, with nothing, all and nearly all of their ids recorded as deleted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks import data
from benchmarks.bench import HERE, OFF, RECONCILER, Bench, Cache, bare_plan, floor, planned
from benchmarks.measuring import PYTHON, Case, Check, finished
from benchmarks.startup import bare_python

RECORDED = ("none recorded", "all recorded", "1 % changed")
CACHES = ("cold", "warm")

#: The inline list that the goal is about; with less asked for, the largest size.
INLINE = 1_000_000
TARGETS = 5_000
ONE_INDEX = "plan, one index"


def name(order: str, recorded: str, cache: str) -> str:
    """Of a case."""
    return f"plan, {order}, {recorded}, cache {cache}"


def run(bench: Bench) -> None:
    """All plans of side files, with the floor and the hashing beside them; those of ids inline at their size."""
    for size in bench.sizes:
        cases: list[Case] = []
        for order in data.ORDERS:
            cases += _of_order(bench, size, order)
        if size == _inline_size(bench):
            cases.append(_inline(bench, size))
        bench.measure(cases, beside=[bare_python(bench), bare_plan(bench), floor(bench, size)])
        shutil.rmtree(bench.work / "projects", ignore_errors=True)


def nothing_changed(bench: Bench, size: int) -> list[Case]:
    """For sections that compare with others: everything is recorded, in any order."""
    return _of_order(bench, size, "any order", recorded=("all recorded",))


def _of_order(bench: Bench, size: int, order: str, recorded: tuple[str, ...] = RECORDED) -> list[Case]:
    ids, cases = data.ids(bench.work, size), []
    short = order.replace(" ", "-")
    state = ids.folder / f"{short}.log"
    if not state.exists():
        data.log(ids.path(order), state)
    for number, each in enumerate(recorded):
        folder = data.project(bench.folder(f"{short}-{size}-{number}"), ids.path(order))
        if each != "none recorded":
            os.link(state, folder / data.STATE)
        for cache in CACHES:
            place = bench.folder("caches", f"{short}-{size}-{number}-{cache}")
            kept = Cache(place / "used", place / "filled" if cache == "warm" else None)
            if cache == "warm":
                # Before the file changes: the cache is that of the last apply.
                bench.once([*RECONCILER, "plan"], folder, {"RECONCILER_CACHE": str(place / "filled")})
            cases.append(_case(name(order, each, cache), size, folder, kept, _expected(each, size)))
        if each == "1 % changed":
            data.put(folder, ids.path(order, changed=True))
        if each == "all recorded":
            cases.append(_case(name(order, each, "off"), size, folder, OFF, _expected(each, size)))
            cases.append(_hashing(folder, size, order))
    return cases


def _case(title: str, size: int, folder: Path, cache: Cache, check: Check) -> Case:
    return Case(title, size, [*RECONCILER, "plan"], folder, cache.variables, cache.reset, check, forks=True)


def _expected(recorded: str, size: int) -> Check:
    changed = -(-size // data.CHANGED)
    return {
        "none recorded": planned(delete=size),
        "all recorded": planned(unchanged=size),
        "1 % changed": planned(delete=changed, release=changed, unchanged=size - changed),
    }[recorded]


def _hashing(folder: Path, size: int, order: str) -> Case:
    """What a plan in which nothing changed cannot do without."""
    files = [data.STATE, "manifests/erasure.yaml", "manifests/ids/ids.txt", "reconciler.yaml"]
    return Case(f"hashing, {order}", size, [PYTHON, str(HERE / "hashing.py"), *files], folder, check=finished)


def run_inline(bench: Bench) -> None:
    """Ids as a list in the manifest."""
    size = _inline_size(bench)
    bench.measure([_inline(bench, size)], beside=[floor(bench, size)])


def _inline_size(bench: Bench) -> int:
    return min(bench.sizes[-1], INLINE)


def _inline(bench: Bench, size: int) -> Case:
    ids = data.ids(bench.work, size)
    folder = data.project(bench.folder(f"inline-{size}"))
    (folder / "manifests" / "inline.yaml").write_text(data.manifest(data.inline(ids.first(size))))
    place = Cache(bench.folder("caches", f"inline-{size}") / "used")
    return _case("plan, ids inline in YAML, cache cold", size, folder, place, planned(delete=size))


def run_targets(bench: Bench) -> None:
    """Many small indexes, beside one with as many ids, and beside as many declarations of one; and their YAML."""
    targets = TARGETS if bench.sizes[-1] >= 2 * TARGETS else bench.sizes[-1] // 2
    bench.measure([bare_plan(bench), *_targets(bench, targets, 2)])
    if 200 * targets <= bench.sizes[-1]:
        bench.measure(_targets(bench, targets, 200))


def many(ids: int) -> str:
    """Of a case: many indexes with so many ids each."""
    return f"plan, many indexes, {ids} ids each"


def declarations(ids: int) -> str:
    """Of a case: one index with as many declarations, of so many ids each."""
    return f"plan, one index, {ids} ids a declaration"


def parsing(title: str) -> str:
    """Of a case: what the plan `title` cannot do without."""
    return f"parsing alone: {title}"


def _targets(bench: Bench, targets: int, ids: int) -> list[Case]:
    size = targets * ids
    values = data.ids(bench.work, size).first(size)
    lists = [data.inline(values[at : at + ids]) for at in range(0, size, ids)]
    head = data.manifest("").partition("absent:\n")[0] + "absent:\n"
    cases = []
    for title, entries in (
        (ONE_INDEX, [data.entry(data.inline(values))]),
        (declarations(ids), map(data.entry, lists)),
        (many(ids), (data.entry(each, f"index-{number:05}") for number, each in enumerate(lists))),
    ):
        folder = data.project(bench.folder(f"{title.replace(', ', '-').replace(' ', '-')}-{ids}"))
        (folder / "manifests" / "erasure.yaml").write_text(head + "".join(entries))
        place = Cache(bench.folder("caches", folder.name) / "used")
        cases.append(_case(title, size, folder, place, planned(delete=size)))
        script = [PYTHON, str(HERE / "parsing.py"), "manifests/erasure.yaml"]
        cases.append(Case(parsing(title), size, script, folder, check=finished))
    return cases

"""What was measured, as Markdown for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks import startup
from benchmarks.bench import Bench
from benchmarks.goals import Goal
from benchmarks.measuring import Measured

_HEAD = ("case", "ids", "median", "min", "max", "CPU", "memory", "ratio", "to", "goal", "met")
_LEFT = {"case", "to", "goal", "met"}


def markdown(bench: Bench, goals: Sequence[Goal], machine: dict[str, Any]) -> str:
    """All of it."""
    rows = [_row(bench, each, goals) for each in bench.found.values()]
    rows += [[f"{name}: {why}", *["—"] * (len(_HEAD) - 1)] for name, why in bench.lacking.items()]
    lines = [*_machine(machine), "", *_table(_HEAD, rows), ""]
    figures = [
        [each.name, f"{each.size:,}", name.replace("_", " "), _number(each.median(name))]
        for each in bench.found.values()
        for name in each.figures
    ]
    if figures:
        lines += [*_table(("case", "ids", "figure", "median"), figures, left={"case", "figure"}), ""]
    judged = [goal for goal in goals if goal.met is not None]
    if judged:
        rows = [
            [str(g.number), g.what, f"{g.case[1]:,}" if g.case[1] else "", _value(g), _bound(g), _met(g)]
            for g in judged
        ]
        lines += [*_table(("goal", "what", "ids", "measured", "bound", "met"), rows, left={"what", "met"}), ""]
    missing = [goal for goal in goals if goal.met is None]
    missed = [goal for goal in judged if not goal.met]
    said = f"{len(judged) - len(missed)} of {len(judged)} goals met"
    return "\n".join([*lines, said + (f", {len(missing)} not measured in this run." if missing else "."), ""])


def document(bench: Bench, goals: Sequence[Goal], machine: dict[str, Any]) -> dict[str, Any]:
    """The same for programs: every single run."""
    return {
        "format": 1,
        "machine": machine,
        "sizes": bench.measured,
        "runs": bench.runs,
        "quick": bench.quick,
        "cases": [_with_yardstick(bench, each) for each in bench.found.values()],
        "not_there": bench.lacking,
        "goals": [goal.document() for goal in goals],
    }


def _with_yardstick(bench: Bench, measured: Measured) -> dict[str, Any]:
    to, ratio = _yardstick(bench, measured)
    return {**measured.document(), "median_wall_seconds": measured.median(), "ratio": ratio, "ratio_to": to}


def _yardstick(bench: Bench, measured: Measured) -> tuple[str, float | None]:
    """What a case is compared with, and how often its time is that."""
    name, size = measured.key
    other: float | None = None
    to = ""
    if name in (*startup.LIGHT, startup.VALIDATE, "plan of one id"):
        to, other = startup.PASS, bench.median(startup.PASS)
    elif name.startswith("plan, ") and "index" in name:
        to, other = "one index", bench.median("plan, one index", size)
    elif name.startswith(("terraform", "octodns")):
        to, other = "our plan, cache warm", bench.median("plan, any order, all recorded, cache warm", size)
    elif name.startswith(("plan, ", "hashing")) or name in (f"verify --all, {o}" for o in ("any order", "sorted")):
        to, other = "floor", bench.median("floor", size)
    time = measured.median()
    return (to, time / other) if time is not None and other else ("", None)


def _row(bench: Bench, measured: Measured, goals: Sequence[Goal]) -> list[str]:
    size = f"{measured.size:,}" if measured.size else ""
    if not measured.wall:
        return [f"{measured.name}: {measured.failed}", size, *["—"] * (len(_HEAD) - 2)]
    to, ratio = _yardstick(bench, measured)
    own = [goal for goal in goals if goal.case == measured.key and goal.met is not None]
    return [
        measured.name + (f" (failed in a later run: {measured.failed})" if measured.failed else ""),
        size,
        *(_seconds(value) for value in (measured.median(), min(measured.wall), max(measured.wall))),
        _seconds(measured.median("cpu")),
        f"{(measured.median('memory') or 0) / 1e6:,.0f} MB",
        "" if ratio is None else f"{ratio:,.2f}",
        to,
        "; ".join(f"{goal.number}: {_bound(goal)}" for goal in own),
        "; ".join(_met(goal) for goal in own),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], left: set[str] = _LEFT) -> list[str]:
    rule = "|".join("---" if name in left else "---:" for name in head)
    return [f"| {' | '.join(head)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]


def _machine(machine: dict[str, Any]) -> list[str]:
    tools = ", ".join(f"{name} {version}" for name, version in machine["tools"].items())
    return [
        (
            f"{machine['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"{machine['disk']}, {machine['system']}."
        ),
        f"{tools}.",
    ]


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1000:,.0f} ms" if value < 1 else f"{value:,.2f} s"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}" if value < 100 else f"{value:,.0f}"


def _value(goal: Goal) -> str:
    return _with_unit(goal.value or 0.0, goal.unit)


def _bound(goal: Goal) -> str:
    return f"{'≥' if goal.least else '≤'} {_with_unit(goal.bound, goal.unit)}"


def _with_unit(value: float, unit: str) -> str:
    if unit == "x":
        return f"{value:.3f} x" if value < 0.1 else f"{value:.2f} x"
    if unit == "%":
        return f"{value:.1f} %"
    return f"{value:,.2f} {unit}" if value < 10 else f"{value:,.0f} {unit}"


def _met(goal: Goal) -> str:
    return "met" if goal.met else "missed"

"""A plan for a terminal: what happens to which ids, why, at what cost.

By index, then by declaration: counts first, a few examples next, everything with `verbose`. Then what a person
must know, the worst last, so that it stands next to the prompt; then one summary line that never changes its
shape, and the fingerprint that an approval binds to. A refused plan shows all its actions like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO

from reconciler.model.diagnostic import Diagnostic, Severity
from reconciler.model.plan import Plan, Summary
from reconciler.render.diagnostics import STYLES, styled
from reconciler.render.escape import at_start, plain
from reconciler.render.findings import WORST_FIRST
from reconciler.render.lines import Line, write_coloured
from reconciler.render.plan_rows import (
    COUNTED,
    EVERYTHING,
    Detail,
    Row,
    counts,
    heading,
    ids_are,
    index_rows,
    requests,
)

#: Shown of an index unless everything is asked for.
_DETAIL = Detail(
    ids=4, groups=4, alone=3, each=1, last=False, declarations=None, places=3, prefixes=20, letters=240
)


#: Of these kinds so many are told: of five thousand new indexes the rest says the same again. All others ask
#: something of a person, each for itself.
_ALIKE = 20
_SAY_THE_SAME = frozenset({
    "declaration-changed", "first-deletion", "lapsed", "percent-not-checked", "prefix-empty", "prefix-unresolved",
})  # fmt: skip


def write(plan: Plan, stream: TextIO, *, verbose: bool = False) -> None:
    """Write a plan to `stream`: in colours on a terminal, unless the environment sets NO_COLOR."""
    write_coloured(plan_lines(plan, verbose=verbose), stream)


def plan_lines(plan: Plan, *, verbose: bool = False) -> Iterator[Line]:
    """The lines of a plan, as a stream: only the ids that are shown are touched.

    Args:
        plan: the plan.
        verbose: show every id, every place, every warning and every word; otherwise what is not shown is counted.
    """
    for index in plan.indexes:
        if index.actions or index.prefixes:
            yield Line(at_start(heading(index)), "bold")
            if counted := counts(index.summary):
                yield Line(f"  {counted}; {requests(index.summary.requests)}")
            yield from map(_line, index_rows(plan, index, EVERYTHING if verbose else _DETAIL))
            yield Line()
    if sentence := cost(plan):
        yield Line(sentence)
        yield Line()
    yield from _diagnostics(plan, verbose=verbose)
    for sentence in verdict(plan):
        yield Line(sentence, "bold")
    yield Line(summary_line(plan.summary, plan.least_seconds), "bold")
    yield Line(f"Fingerprint: {plain(plan.fingerprint)}")


def summary_line(summary: Summary, least_seconds: float) -> str:
    """The counts of a plan and its cost. Scripts read this line: its shape never changes, zeros are there too."""
    counts = ", ".join(f"{summary.of(kind):,} {words}" for kind, words in COUNTED.items())
    return f"Plan: {counts}; {summary.requests:,} requests, at least {duration(least_seconds)}."


def verdict(plan: Plan) -> Iterator[str]:
    """What it comes down to when there is nothing to send or record; nothing otherwise."""
    summary = plan.summary
    if plan.changes_ids or plan.errored or plan.refused:
        return
    if plan.unrecorded:
        what = "1 declaration" if plan.unrecorded == 1 else f"{plan.unrecorded:,} declarations"
        yield f"Nothing to send. {what} to record as now declared."
    if summary.confirm or summary.blocked:
        if summary.confirm:
            waiting = "id waits" if summary.confirm == 1 else "ids wait"
            yield f"Nothing to send. {summary.confirm:,} {waiting} for confirmation: run verify."
        if summary.blocked:
            yield f"Nothing to send. {ids_are(summary.blocked)} blocked."
        return
    if not summary.unchanged:
        if plan.unrecorded:
            return
        yield "No changes. No id is declared absent."
        return
    whose = "declared ids" if plan.complete else "ids that this plan covers"
    none = "" if plan.unrecorded else "No changes. "
    yield f"{none}All {summary.unchanged:,} {whose} are verified absent."
    if not plan.observed:
        yield "The live indexes were not read: plan --refresh or verify --all finds ids that came back since."


def duration(seconds: float) -> str:
    """A least time in words: rounded down, so that "at least" stays true."""
    whole = int(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours:,} h {rest} min" if rest else f"{hours:,} h"


def cost(plan: Plan) -> str:
    """The requests that it takes, in a sentence; "" when it takes none."""
    spent = plan.cost
    if not spent.total:
        return ""
    proofs = "" if plan.observed else "at most "
    return (
        f"Cost: {requests(spent.deletes)} to delete, {proofs}{spent.proofs:,} to prove it, "
        f"about {spent.waiting:,} while the service works; "
        f"at least {duration(spent.least_seconds)} under the budget."
    )


def _line(row: Row) -> Line:
    indent = "  " * row.depth
    if row.kind is None:
        return Line(indent + at_start(row.text), row.style)
    return Line(f"{indent}{row.kind.symbol} {row.text}", row.style)


def _diagnostics(plan: Plan, *, verbose: bool) -> Iterator[Line]:
    by_severity = {
        severity: [each for each in plan.diagnostics if each.severity is severity]
        for severity in WORST_FIRST[::-1]
    }
    for severity, diagnostics in by_severity.items():
        if (
            severity is Severity.REFUSAL
            and (plan.errored or plan.refused)
            and any(i.actions for i in plan.indexes)
        ):
            yield Line("All of this was planned, but it may not be carried out:", "bold red")
        yield from styled(diagnostics) if verbose else _some_of_a_kind(diagnostics)
    if plan.diagnostics:
        yield Line()


def _some_of_a_kind(diagnostics: Sequence[Diagnostic]) -> Iterator[Line]:
    """All, but of kinds that say the same the first; how many more there are stands behind them."""
    totals = Counter(each.code for each in diagnostics)
    told: Counter[str] = Counter()
    for each in diagnostics:
        code = each.code
        told[code] += 1
        if code not in _SAY_THE_SAME or told[code] <= _ALIKE:
            yield from styled([each])
        elif told[code] == _ALIKE + 1:
            more = f"{totals[code] - _ALIKE:,} more of this kind ({code})"
            yield Line(f"{each.severity}: {more}: plan and show list them with --verbose", STYLES[each.severity])

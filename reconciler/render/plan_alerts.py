"""The findings of a plan as alerts of Markdown: an alert for each severity, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.model.diagnostic import Diagnostic, Severity
from reconciler.model.plan import Plan
from reconciler.render.escape import shortened
from reconciler.render.findings import WORST_FIRST, codes, findings
from reconciler.render.markdown import alert, code, prose, size

_KINDS = {
    Severity.ERROR: "CAUTION",
    Severity.REFUSAL: "CAUTION",
    Severity.WARNING: "WARNING",
    Severity.NOTE: "NOTE",
}

#: Findings told of each severity: as many as fit. The last always does.
_LEVELS = (50, 20, 10, 5, 2, 1, 0)

#: Characters of a summary, of a line of its detail, of a path.
_LETTERS = 400

#: Lines of a detail, places that belong to a finding.
_LINES = 8

#: Codes that are named where findings are only counted.
_CODES = 5


def lines(plan: Plan, room: int) -> list[str]:
    """The alerts, in at most `room` bytes or in the fewest that state every count."""
    found = findings(plan)
    for most in _LEVELS[:-1]:
        made, left = [], room
        for each in _alerts(plan, found, most):
            made.append(each)
            left -= size([each])
            if left < 0:
                break
        else:
            return made
    return list(_alerts(plan, found, _LEVELS[-1]))


def _alerts(plan: Plan, found: Sequence[Diagnostic], most: int) -> Iterator[str]:
    for severity in WORST_FIRST:
        held = [each for each in found if each.severity is severity]
        if held:
            yield from alert(_KINDS[severity], _alert(plan, severity, held, most))
            yield ""


def _alert(plan: Plan, severity: Severity, held: Sequence[Diagnostic], most: int) -> Iterator[str]:
    yield f"**{_headline(plan, severity, len(held))}**"
    yield ""
    for each in held[:most]:
        yield from _item(each)
    if left := held[most:]:
        more = "and " if most else ""
        counted = ", ".join(
            f"{count:,} {code(shortened(name, 40)) if name else 'others'}"
            for name, count in codes(left, _CODES if most else 1)
        )
        yield f"- {more}{len(left):,} {'more' if most else 'in all'}: {counted}"


def _headline(plan: Plan, severity: Severity, count: int) -> str:
    number = f"{count:,} {severity}{'' if count == 1 else 's'}"
    if severity is Severity.ERROR:
        return f"{number}: there is no plan." if plan.errored else f"{number}: nothing can be done there."
    if severity is Severity.REFUSAL:
        return f"{number}: all of this was planned, but it may not be carried out."
    return f"{number}."


def _item(each: Diagnostic) -> Iterator[str]:
    where = "" if each.position is None else f"{code(shortened(str(each.position), _LETTERS))}: "
    yield f"- {where}{prose(shortened(each.summary, _LETTERS))} ({code(shortened(each.code, 60))})"
    # An empty item would make a heading of what stands above it.
    detail = [part for part in each.detail.splitlines() if part.strip()]
    for part in detail[:_LINES]:
        yield f"  - {prose(shortened(part, _LETTERS))}"
    for place in each.related[:_LINES]:
        yield f"  - see {code(shortened(str(place), _LETTERS))}"
    if left := max(0, len(detail) - _LINES) + max(0, len(each.related) - _LINES):
        yield f"  - and {left:,} more lines"

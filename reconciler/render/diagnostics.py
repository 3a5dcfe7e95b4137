"""Diagnostics as text, as JSON, and as annotations of a GitHub check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from reconciler.model.diagnostic import Diagnostic, Position, Severity
from reconciler.model.notices import diagnostic_dict
from reconciler.render.escape import json_text, line, plain, workflow, workflow_property
from reconciler.render.lines import Line

FORMAT_VERSION = "1.0"

STYLES = {
    Severity.ERROR: "bold red",
    Severity.REFUSAL: "bold red",
    Severity.WARNING: "yellow",
    Severity.NOTE: "cyan",
}

#: From the gravest: what cannot be used, what is forbidden, what must be seen, what may be known.
WORST_FIRST = (Severity.ERROR, Severity.REFUSAL, Severity.WARNING, Severity.NOTE)

#: GitHub shows ten annotations of a kind for each step and drops the rest silently.
_ANNOTATIONS_SHOWN = 10

_COMMANDS = {
    Severity.ERROR: "error",
    Severity.REFUSAL: "error",
    Severity.WARNING: "warning",
    Severity.NOTE: "notice",
}


def text(diagnostics: Iterable[Diagnostic]) -> Iterator[str]:
    """`path:line:column: error: summary`, the detail indented below, then the places that belong to it."""
    return (str(each) for each in styled(diagnostics))


def styled(diagnostics: Iterable[Diagnostic]) -> Iterator[Line]:
    """As `text`, with styles."""
    for each in diagnostics:
        where = "" if each.position is None else f"{each.position}: "
        yield Line(line(f"{where}{each.severity}: {each.summary}"), STYLES[each.severity])
        for part in each.detail.splitlines():
            yield Line(f"  {line(part)}")
        for related in each.related:
            yield Line(f"  see {plain(str(related))}")


def json_document(diagnostics: Iterable[Diagnostic], *, manifests: int, ids: int) -> str:
    """What `validate --format json` prints.

    Args:
        diagnostics: in the order in which they are listed.
        manifests: manifest files read.
        ids: distinct ids declared absent, over all indexes.
    """
    listed = list(diagnostics)
    errors = sum(each.severity in (Severity.ERROR, Severity.REFUSAL) for each in listed)
    document = {
        "format_version": FORMAT_VERSION,
        "valid": not errors,
        "error_count": errors,
        "warning_count": sum(each.severity is Severity.WARNING for each in listed),
        "diagnostics": [diagnostic_dict(each) for each in listed],
        "manifests": manifests,
        "ids": ids,
    }
    return json_text(document, indent=2)


def github(diagnostics: Iterable[Diagnostic]) -> Iterator[str]:
    """Workflow commands that annotate files, the worst first; one line counts those GitHub would drop."""
    ordered = worst_first(diagnostics)
    shown: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for each in ordered:
        command = _COMMANDS[each.severity]
        if shown[command] == _ANNOTATIONS_SHOWN:
            dropped[command] += 1
            continue
        shown[command] += 1
        yield _annotation(command, each)
    if dropped:
        counts = (f"{count:,} more {kind}{'s' if count > 1 else ''}" for kind, count in dropped.items())
        yield f"… and {', '.join(counts)}"


def worst_first(diagnostics: Iterable[Diagnostic]) -> Sequence[Diagnostic]:
    """By severity, the gravest first; in the given order within one."""
    return sorted(diagnostics, key=lambda each: WORST_FIRST.index(each.severity))


def _annotation(command: str, diagnostic: Diagnostic) -> str:
    properties = [*_place(diagnostic.position), ("title", diagnostic.code)]
    listed = ",".join(f"{name}={workflow_property(value)}" for name, value in properties)
    related = [f"see {place}" for place in diagnostic.related]
    parts = [diagnostic.summary, *diagnostic.detail.splitlines(), *related]
    return f"::{command} {listed}::{'%0A'.join(workflow(part) for part in parts)}"


def _place(position: Position | None) -> Iterator[tuple[str, str]]:
    if position is None:
        return
    yield "file", position.path
    if position.line:
        yield "line", str(position.line)
    if position.column:
        yield "col", str(position.column)

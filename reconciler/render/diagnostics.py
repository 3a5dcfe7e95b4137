"""Diagnostics as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.model.diagnostic import Diagnostic, Severity, diagnostic_dict
from reconciler.render.escape import json_text, line, plain
from reconciler.render.lines import Line

FORMAT_VERSION = "1.0"

STYLES = {
    Severity.ERROR: "bold red",
    Severity.REFUSAL: "bold red",
    Severity.WARNING: "yellow",
    Severity.NOTE: "cyan",
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

"""What a person must know about their input: where, what, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class Severity(StrEnum):
    """How grave a diagnostic is.

    ERROR: the input cannot be used. REFUSAL: it could be, but a limit or a keep forbids it (exit 3).
    """

    ERROR = "error"
    REFUSAL = "refusal"
    WARNING = "warning"
    NOTE = "note"


class Position(NamedTuple):
    """A place in a file. `line` and `column` count from 1 (characters, not bytes); 0 = the whole file or line."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.path, *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem.

    Attributes:
        severity: how grave.
        code: a stable name in kebab-case, for machines and searches ("duplicate-key").
        summary: one line: what is wrong, with the numbers. May quote untrusted text: renderers neutralise it.
        detail: what to do about it; may be several lines, may be empty.
        position: where, None when it is no place in a file.
        related: further places that belong to it (the keep that protects a declared id).
    """

    severity: Severity
    code: str
    summary: str
    detail: str = ""
    position: Position | None = None
    related: tuple[Position, ...] = ()

    @property
    def sort_key(self) -> tuple[Position, str, str]:
        """By place, then code, then words: the same input reports in the same order."""
        return (self.position or Position(""), self.code, self.summary)


def error(code: str, summary: str, detail: str = "", position: Position | None = None) -> Diagnostic:
    """A diagnostic of severity ERROR."""
    return Diagnostic(Severity.ERROR, code, summary, detail, position)


def warning(code: str, summary: str, detail: str = "", position: Position | None = None) -> Diagnostic:
    """A diagnostic of severity WARNING."""
    return Diagnostic(Severity.WARNING, code, summary, detail, position)


def refusal(code: str, summary: str, detail: str = "", position: Position | None = None) -> Diagnostic:
    """A diagnostic of severity REFUSAL."""
    return Diagnostic(Severity.REFUSAL, code, summary, detail, position)


def note(code: str, summary: str, detail: str = "", position: Position | None = None) -> Diagnostic:
    """A diagnostic of severity NOTE."""
    return Diagnostic(Severity.NOTE, code, summary, detail, position)


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """True when one of `diagnostics` is an error (a refusal is not)."""
    return any(d.severity is Severity.ERROR for d in diagnostics)


def has_refusals(diagnostics: Iterable[Diagnostic]) -> bool:
    """True when one of `diagnostics` is a refusal."""
    return any(d.severity is Severity.REFUSAL for d in diagnostics)


def diagnostic_dict(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic as JSON values, the same in every output."""
    where = diagnostic.position
    return {
        "severity": diagnostic.severity.value,
        "code": diagnostic.code,
        "summary": diagnostic.summary,
        "detail": diagnostic.detail,
        "path": None if where is None else where.path,
        "line": None if where is None else where.line,
        "column": None if where is None else where.column,
        "related": [{"path": p.path, "line": p.line, "column": p.column} for p in diagnostic.related],
    }

"""What a person must know of a plan before anything else: its diagnostics, and which ids are present again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from reconciler.model.diagnostic import Diagnostic, Position, Severity, warning
from reconciler.model.plan import ActionKind, Plan

#: From the gravest: what cannot be used, what is forbidden, what must be seen, what may be known.
WORST_FIRST = (Severity.ERROR, Severity.REFUSAL, Severity.WARNING, Severity.NOTE)


def worst_first(diagnostics: Iterable[Diagnostic]) -> Sequence[Diagnostic]:
    """By severity, the gravest first; in the given order within one."""
    return sorted(diagnostics, key=lambda each: WORST_FIRST.index(each.severity))


def findings(plan: Plan) -> Sequence[Diagnostic]:
    """A warning for ids that are present again and the diagnostics of `plan`, the worst first.

    An index that does not exist is an error here, because `plan` exits with 1.
    """
    missing = (
        replace(each, severity=Severity.ERROR) if each.code == "index-missing" else each
        for each in plan.diagnostics
    )
    return worst_first([*([] if plan.errored else _reappeared(plan)), *missing])


def _reappeared(plan: Plan) -> Iterator[Diagnostic]:
    for index, action in plan.actions():
        if action.kind is ActionKind.REAPPEARED:
            where = action.sources[0] if action.sources else None
            count = len(action.ids)
            subject = "1 id is" if count == 1 else f"{count:,} ids are"
            yield warning(
                "reappeared",
                f"{index.target}: {subject} present although deleted before",
                "Something wrote them again, or the deletion did not last: they are deleted again.",
                None if where is None else Position(where.path, where.line),
            )


def codes(diagnostics: Iterable[Diagnostic], most: int) -> list[tuple[str, int]]:
    """How many there are of each code, the most frequent first; beyond `most` codes, of all others, named ""."""
    counted = sorted(Counter(each.code for each in diagnostics).items(), key=lambda pair: (-pair[1], pair[0]))
    others = sum(count for _, count in counted[most:])
    return [*counted[:most], *([("", others)] if others else [])]

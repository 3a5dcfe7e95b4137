"""What GitHub Actions takes: annotations of files, and the outputs of a step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.model.diagnostic import Diagnostic, Position, Severity
from reconciler.model.plan import Plan
from reconciler.render.escape import shortened, workflow, workflow_property
from reconciler.render.findings import codes, findings, worst_first
from reconciler.render.plan_text import summary_line

#: GitHub shows ten annotations of a kind for each step and drops the rest silently.
_SHOWN = 10

_COMMANDS = {
    Severity.ERROR: "error",
    Severity.REFUSAL: "error",
    Severity.WARNING: "warning",
    Severity.NOTE: "notice",
}

#: Codes named by the annotation that counts what has none of its own.
_CODES = 10

#: Characters of a line of a message: GitHub takes 4 KB for all of it.
_LETTERS = 600


def annotate(diagnostics: Iterable[Diagnostic]) -> Iterator[str]:
    """Workflow commands that annotate files: at most ten of a kind, the worst first; the last counts the rest."""
    held: dict[str, list[Diagnostic]] = {"error": [], "warning": [], "notice": []}
    for each in worst_first(diagnostics):
        held[_COMMANDS[each.severity]].append(each)
    for command, found in held.items():
        shown = found if len(found) <= _SHOWN else found[: _SHOWN - 1]
        yield from (_annotation(command, each) for each in shown)
        if left := found[len(shown) :]:
            counted = ", ".join(f"{count:,} {name or 'others'}" for name, count in codes(left, _CODES))
            yield f"::{command} title={len(left):,} more {command}s::{workflow(f'not shown here: {counted}')}"


def plan_lines(plan: Plan) -> Iterator[str]:
    """What `plan --format github` prints: annotations, and the summary line for the log unless it is errored."""
    yield from annotate(findings(plan))
    if not plan.errored:
        yield summary_line(plan.summary, plan.least_seconds)


def outputs(plan: Plan, *, path: str, exit_code: int) -> dict[str, str]:
    """The outputs of a step that plans.

    `deletes` counts every id that would be sent, `reappeared` those of them that are present again. An errored
    plan counts nothing and has no fingerprint, so that nobody takes it for one.

    Args:
        plan: the plan.
        path: where it is saved, "" when it is not.
        exit_code: of the command.
    """
    counted = not plan.errored
    return {
        "changes": "true" if counted and plan.changes else "false",
        "deletes": str(plan.summary.sends if counted else 0),
        "reappeared": str(plan.summary.reappeared if counted else 0),
        "fingerprint": plan.fingerprint if counted else "",
        "plan-path": path,
        "exit-code": str(int(exit_code)),
    }


def output_file(outputs: Mapping[str, str], delimiter: str) -> str:
    """The text that GITHUB_OUTPUT takes, where no value ends early or becomes an output of its own.

    Args:
        outputs: by name.
        delimiter: one that nobody can guess.

    Raises:
        ValueError: a value holds the delimiter.
    """
    for name, value in outputs.items():
        if delimiter in value:
            raise ValueError(f"the output {name} holds the delimiter")
    return "".join(f"{name}<<{delimiter}\n{value}\n{delimiter}\n" for name, value in outputs.items())


def _annotation(command: str, diagnostic: Diagnostic) -> str:
    properties = [*_place(diagnostic.position), ("title", shortened(diagnostic.code, 100))]
    listed = ",".join(f"{name}={workflow_property(value)}" for name, value in properties)
    related = [f"see {place}" for place in diagnostic.related[:_SHOWN]]
    parts = [diagnostic.summary, *diagnostic.detail.splitlines()[:_SHOWN], *related]
    return f"::{command} {listed}::{'%0A'.join(workflow(shortened(part, _LETTERS)) for part in parts)}"


def _place(position: Position | None) -> Iterator[tuple[str, str]]:
    if position is None:
        return
    yield "file", position.path
    if position.line:
        yield "line", str(position.line)
    if position.column:
        yield "col", str(position.column)

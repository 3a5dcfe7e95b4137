"""What an apply or a verify said in its JSON events, read again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import UsageError
from reconciler.render.escape import line, workflow
from reconciler.render.markdown import code

#: GitHub shows ten of a kind for each step.
_ANNOTATIONS = 10


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        summary: the last event, None when the run did not come to its end.
        plan: the event with the plan's fingerprint and counts, None for a verify.
        errors: what went wrong; untrusted.
        found: the ids that are back, as a verify names them; untrusted.
    """

    summary: Mapping[str, Any] | None = None
    plan: Mapping[str, Any] | None = None
    errors: tuple[str, ...] = ()
    found: tuple[Mapping[str, Any], ...] = field(default=())

    def count(self, name: str) -> int:
        """A count of the summary; 0 when it has none."""
        value = (self.summary or {}).get(name, 0)
        return value if isinstance(value, int) and value >= 0 else 0

    @property
    def complete(self) -> bool:
        """Everything that should be read was read: only then does a 0 of `reappeared` say that nothing is back."""
        summary = self.summary or {}
        left = summary.get("pending") or summary.get("unresolved")
        return summary.get("exit_code") in (0, 4) and not left


def read_events(lines: Iterable[str]) -> Outcome:
    """The outcome in lines as `--format json` prints them. Types that are not known are passed over.

    Raises:
        UsageError: a line is no event.
    """
    summary = plan = None
    errors: list[str] = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        event = parse_event(text, number)
        match event.get("type"):
            case "summary":
                summary = event
            case "plan":
                plan = event
            case "diagnostic" if event.get("severity") in ("error", "refusal"):
                errors.append(str(event.get("summary", "")))
    found = (summary or {}).get("found")
    named = tuple(each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()
    return Outcome(summary, plan, tuple(errors), named)


def parse_event(text: str, number: int) -> dict[str, Any]:
    """One event.

    Raises:
        UsageError: it is none.
    """
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise UsageError(
            f"line {number} is not an event", hint="Events are what apply and verify print with --format json."
        )
    return event


def outputs(outcome: Outcome) -> list[str]:
    """NAME=VALUE lines, for a file of outputs. No value can hold a line end."""
    deletes = outcome.count("accepted")
    lines = [
        f"changes={'true' if deletes or outcome.count('released') else 'false'}",
        f"deletes={deletes}",
        f"reappeared={outcome.count('reappeared')}",
    ]
    fingerprint = str((outcome.plan or {}).get("fingerprint", ""))
    if re.fullmatch(r"sha256:[0-9a-f]{64}", fingerprint):
        lines.append(f"fingerprint={fingerprint}")
    return lines


def text(outcome: Outcome) -> list[str]:
    """What came of it, in a few lines; what went wrong first. Untrusted parts are neutralised."""
    told = [line(f"Error: {each}") for each in outcome.errors]
    if outcome.summary is None:
        return told or ["The run did not come to its end."]
    head = outcome.summary.get("head")
    told.append(line(str(outcome.summary.get("message", ""))))
    return [*told, line(f"State head: {head}")] if head else told


def annotated(outcome: Outcome) -> list[str]:
    """Workflow commands of GitHub that show what went wrong beside the run, where nobody opens a log."""
    return [f"::error title=vectorize-reconciler::{workflow(each)}" for each in outcome.errors[:_ANNOTATIONS]]


def markdown(outcome: Outcome) -> list[str]:
    """For a step's summary."""
    return ["### Vectorize reconciler", "", *(f"- {code(each)}" for each in text(outcome)), ""]

"""A plan for a terminal: what happens to which ids, why, at what cost.

By index, then by declaration: counts first, a few examples next, everything with `verbose`. Then what a person
must know, the worst last, so that it stands next to the prompt; then one summary line that never changes its
shape, and the fingerprint that an approval binds to. A refused plan shows all its actions like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TextIO

from reconciler.model.diagnostic import Severity
from reconciler.model.plan import Action, ActionKind, ActionSource, IndexPlan, Plan, PrefixPlan, Summary
from reconciler.render.diagnostics import WORST_FIRST, styled
from reconciler.render.escape import line, plain
from reconciler.render.lines import Line, write_coloured

#: How each kind of action is coloured, its ids with it.
STYLES = {
    ActionKind.DELETE: "red",
    ActionKind.RESEND: "yellow",
    ActionKind.REAPPEARED: "bold red",
    ActionKind.CONFIRM: "cyan",
    ActionKind.ALREADY_ABSENT: "dim",
    ActionKind.RELEASE: "blue",
    ActionKind.UNCHANGED: "dim",
    ActionKind.BLOCKED: "bold yellow",
}

_WHAT = {
    ActionKind.DELETE: "to delete",
    ActionKind.RESEND: "to send again, an earlier outcome is unknown",
    ActionKind.REAPPEARED: "to delete again, present although they were deleted",
    ActionKind.CONFIRM: "waiting for confirmation, nothing to send",
    ActionKind.ALREADY_ABSENT: "found absent already",
    ActionKind.RELEASE: "to release, no longer enforced",
    ActionKind.UNCHANGED: "verified absent, unchanged",
    ActionKind.BLOCKED: "blocked",
}

_COUNTED = {
    ActionKind.DELETE: "to delete",
    ActionKind.RESEND: "to send again",
    ActionKind.REAPPEARED: "reappeared",
    ActionKind.CONFIRM: "to confirm",
    ActionKind.ALREADY_ABSENT: "already absent",
    ActionKind.RELEASE: "to release",
    ActionKind.UNCHANGED: "unchanged",
    ActionKind.BLOCKED: "blocked",
}

#: Places named for one group of ids, unless everything is asked for.
_PLACES_SHOWN = 3


def write(plan: Plan, stream: TextIO, *, verbose: bool = False, examples: int = 3) -> None:
    """Write a plan to `stream`: in colours on a terminal, unless the environment sets NO_COLOR."""
    write_coloured(plan_lines(plan, verbose=verbose, examples=examples), stream)


def plan_lines(plan: Plan, *, verbose: bool = False, examples: int = 3) -> Iterator[Line]:
    """The lines of a plan, as a stream: only the ids that are shown are touched.

    Args:
        plan: the plan.
        verbose: show every id and every place.
        examples: ids shown of each action otherwise.
    """
    for index in plan.indexes:
        if index.actions or index.prefixes:
            yield from _index(plan, index, None if verbose else examples)
            yield Line()
    yield from _cost(plan)
    yield from _diagnostics(plan)
    for sentence in verdict(plan):
        yield Line(sentence, "bold")
    yield Line(summary_line(plan.summary, plan.least_seconds), "bold")
    yield Line(f"Fingerprint: {plain(plan.fingerprint)}")


def summary_line(summary: Summary, least_seconds: float) -> str:
    """The counts of a plan and its cost. Scripts read this line: its shape never changes, zeros are there too."""
    counts = ", ".join(f"{summary.of(kind):,} {words}" for kind, words in _COUNTED.items())
    return f"Plan: {counts}; {summary.requests:,} requests, at least {duration(least_seconds)}."


def verdict(plan: Plan) -> Iterator[str]:
    """What it comes down to when there is nothing to send or record; nothing otherwise."""
    summary = plan.summary
    if plan.changes or plan.errored or plan.refused:
        return
    if summary.confirm or summary.blocked:
        if summary.confirm:
            waiting = "id waits" if summary.confirm == 1 else "ids wait"
            yield f"Nothing to send. {summary.confirm:,} {waiting} for confirmation: run verify."
        if summary.blocked:
            yield f"Nothing to send. {summary.blocked:,} {_ids(summary.blocked)} blocked."
        return
    if not summary.unchanged:
        yield "No changes. No id is declared absent."
        return
    whose = "declared ids" if plan.complete else "ids that this plan covers"
    yield f"No changes. All {summary.unchanged:,} {whose} are verified absent."
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


def _index(plan: Plan, index: IndexPlan, examples: int | None) -> Iterator[Line]:
    live = "" if index.live_count is None else f": {index.live_count:,} vectors"
    if index.read_by:
        live += f", read by {index.read_by} in {_requests(index.read_requests)}"
    yield Line(line(f"{index.target}{live}"), "bold")
    counted = [f"{count:,} {words}" for kind, words in _COUNTED.items() if (count := index.summary.of(kind))]
    if counted:
        yield Line(f"  {', '.join(counted)}; {_requests(index.summary.requests)}")
    yield from _limits(plan, index)
    groups: dict[tuple[ActionSource, ...], list[Action]] = {}
    for action in index.actions:
        groups.setdefault(action.sources, []).append(action)
    for sources, actions in sorted(groups.items()):
        yield from _places(sources, everything=examples is None)
        for action in actions:
            yield from _action(action, examples)
    if index.summary.already_absent and not index.summary.sends:
        yield Line("  one batch of what was found absent is sent: what is read after it is proof for all of them")
    for prefix in index.prefixes:
        yield _prefix(prefix)
    if index.kept:
        kept, them = f"{index.kept:,} {_ids(index.kept)}", "it" if index.kept == 1 else "them"
        yield Line(f"  {kept} matched by a prefix, but a keep protects {them}: not sent")


def _cost(plan: Plan) -> Iterator[Line]:
    cost = plan.cost
    if not cost.total:
        return
    proofs = "" if plan.observed else "at most "
    yield Line(
        f"Cost: {_requests(cost.deletes)} to delete, {proofs}{cost.proofs:,} to prove it, about {cost.waiting:,} "
        f"while the service works; at least {duration(cost.least_seconds)} under the budget."
    )
    yield Line()


def _limits(plan: Plan, index: IndexPlan) -> Iterator[Line]:
    limits = plan.limits.get(index.target.index)
    if not limits or not index.summary.sends:
        return
    listed = ", ".join(f"{plain(name)} {value:,g}" for name, value in sorted(limits.items()))
    percent = "percent: not checked" if index.percent is None else f"{index.percent:.2f} % of the live vectors"
    yield Line(f"  limits: {listed} ({percent})")


def _places(sources: Sequence[ActionSource], *, everything: bool) -> Iterator[Line]:
    shown = sources if everything else sources[:_PLACES_SHOWN]
    if not sources:
        yield Line("  declared nowhere")
    for number, source in enumerate(shown):
        reason = f"  {source.reason}" if source.reason else ""
        where = f"{source.path}:{source.line}" if source.line else source.path
        yield Line(f"  {'and ' if number else ''}{line(where + reason)}", "bold" if not number else "")
    if len(shown) < len(sources):
        yield Line(f"  and {len(sources) - len(shown):,} more places")


def _action(action: Action, examples: int | None) -> Iterator[Line]:
    kind, count = action.kind, len(action.ids)
    style = STYLES[kind]
    noun = "id" if count == 1 else "ids"
    yield Line(f"    {kind.symbol} {count:,} {noun} {_WHAT[kind]} ({plain(action.reason)})", style)
    shown = 0
    for id_ in islice(action.ids, examples):
        # The symbol stands before each id: an id that begins a line could be a command to a CI runner.
        yield Line(f"        {kind.symbol} {plain(id_)}", style)
        shown += 1
    if shown < count:
        yield Line(f"        … and {count - shown:,} more", style)


def _prefix(prefix: PrefixPlan) -> Line:
    found = (
        "never listed" if prefix.count is None else f"{prefix.count:,} {_ids(prefix.count, verb=False)} matched"
    )
    return Line(f'  prefix "{plain(prefix.text)}": {found} ({plain(prefix.path)}:{prefix.line})')


def _diagnostics(plan: Plan) -> Iterator[Line]:
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
        yield from styled(diagnostics)
    if plan.diagnostics:
        yield Line()


def _requests(count: int) -> str:
    return f"{count:,} request" if count == 1 else f"{count:,} requests"


def _ids(count: int, *, verb: bool = True) -> str:
    noun, to_be = ("id", "is") if count == 1 else ("ids", "are")
    return f"{noun} {to_be}" if verb else noun

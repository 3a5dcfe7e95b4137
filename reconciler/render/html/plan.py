"""A plan as a page for a reviewer: verdict and counts, what must be known, where, which ids, at what cost."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.clock import timestamp
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.plan import Action, ActionKind, ActionSource, IndexPlan, Plan, Summary
from reconciler.model.target import Target
from reconciler.render.findings import findings
from reconciler.render.html.groups import Group, groups_of
from reconciler.render.html.ids import PAGE_IDS, Carried
from reconciler.render.html.page import Fact, Tile, Verdict, count, render
from reconciler.render.plan_rows import COUNTED
from reconciler.render.plan_text import duration, verdict

#: Bars drawn for indexes and for declarations, the longest first; the rest is one line with its count.
_BARS = 25

#: Indexes with a section of their own, those with most ids first; the rest are rows of a table.
_SECTIONS = 200

#: Sections that stand open: more of them hide one another.
_OPEN = 3

#: Diagnostics that stand open; the rest, never worse than these, is folded.
_PROBLEMS = 30

#: What is said of the ids of one action, where that is more than how its kind is counted.
_WHAT = {
    ActionKind.RESEND: "to send again, an earlier outcome is unknown",
    ActionKind.REAPPEARED: "to delete again, present although deleted before",
    ActionKind.CONFIRM: "waiting for confirmation, nothing to send",
    ActionKind.ALREADY_ABSENT: "found absent already",
    ActionKind.RELEASE: "to release, no longer enforced",
}

#: What a segment of a bar may stand for: everything but what stays as it is.
_DRAWN = tuple(kind for kind in COUNTED if kind is not ActionKind.UNCHANGED)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar, in percent of its whole width."""

    kind: str
    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a chart. `said`: its parts in words; `anchor`: of the section about it, "" for none."""

    name: str
    note: str
    anchor: str
    total: int
    share: str
    segments: tuple[Segment, ...]
    said: str


@dataclass(frozen=True, slots=True)
class ActionView:
    """An action with its ids in groups."""

    kind: str
    symbol: str
    count: int
    what: str
    reason: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class DeclarationView:
    """Where ids come from, and what happens to them."""

    places: tuple[tuple[str, str], ...]
    actions: tuple[ActionView, ...]


@dataclass(frozen=True, slots=True)
class IndexView:
    """One section."""

    anchor: str
    name: str
    account: str
    said: str
    facts: tuple[Fact, ...]
    prefixes: tuple[tuple[str, str, str], ...]
    declarations: tuple[DeclarationView, ...]
    open: bool


def plan_page(
    plan: Plan,
    *,
    tool_version: str,
    created_at: datetime,
    paths: Sequence[str] = (),
    only: str | None = None,
    planfile: str = "",
    digest: str = "",
    limit: int = PAGE_IDS,
) -> Iterator[str]:
    """The page, in pieces of ASCII.

    Args:
        plan: the plan.
        tool_version, created_at: of the program that made it, and when.
        paths: the PATHS it was made from, none for those of the configuration.
        only: the one index it covers, None for all.
        planfile: the file it is saved in, "" for none.
        digest: SHA-256 (hex) of that file's bytes.
        limit: ids that the page carries at most; groups and counts are exact beyond that too.
    """
    carried = Carried(limit)
    busy = sorted((each for each in plan.indexes if _weight(each)), key=lambda each: -_weight(each))
    shown = {each.target for each in busy[:_SECTIONS]}
    sections = [each for each in plan.indexes if each.target in shown]
    anchors = {each.target: f"index-{number}" for number, each in enumerate(sections, 1)}
    problems = findings(plan)
    return render(
        "plan.html",
        verdict=_verdict(plan),
        tiles=_tiles(plan.summary),
        problems=problems[:_PROBLEMS],
        more_problems=problems[_PROBLEMS:],
        more_counts=_severities(problems[_PROBLEMS:]),
        index_bars=_index_bars(busy, anchors),
        declaration_bars=_declaration_bars(plan),
        errored=plan.errored,
        sections=(
            _section(plan, each, anchors[each.target], carried, unfold=len(sections) <= _OPEN) for each in sections
        ),
        rest=[_row(each) for each in plan.indexes if each.target not in shown],
        rest_of_many=len(busy) > _SECTIONS,
        cost=_cost(plan),
        command=_command(plan, paths, only, planfile),
        why=_why(plan, only),
        facts=_facts(plan, tool_version=tool_version, created_at=created_at, planfile=planfile, digest=digest),
        files=plan.files,
        fingerprint=plan.fingerprint,
        digest=digest,
        limit=limit,
        total=0 if plan.errored else sum(len(action.ids) for each in sections for action in each.actions),
        carried=carried,
    )


def _weight(index: IndexPlan) -> int:
    """How much there is to see: ids that something happens to; a prefix without ids is worth a look too."""
    return sum(index.summary.of(kind) for kind in _DRAWN) or len(index.prefixes)


def _verdict(plan: Plan) -> Verdict:
    summary = plan.summary
    sending = [each for each in plan.indexes if each.summary.sends]
    where = count(len(sending), "index", "indexes")
    title = f"{count(summary.sends)} to delete in {where}"
    if not summary.sends:
        kinds = (ActionKind.ALREADY_ABSENT, ActionKind.RELEASE, ActionKind.CONFIRM, ActionKind.BLOCKED)
        rest = ", ".join(_said(summary, kinds))
        title = f"Nothing to delete{f': {rest}' if rest else ''}"
    if plan.errored:
        said = "What could be read is not all that is declared, so nothing is planned and nothing can be applied."
        return Verdict("bad", "Error", "The manifests cannot be used: there is no plan", (said,))
    if plan.refused:
        said = "All of this was planned, but a limit or a keep forbids it: apply would send nothing."
        return Verdict("bad", "Refused", title, (said,))
    if plan.unresolved_prefixes:
        said = "A prefix was never listed, so nobody knows what it matches. plan --refresh --out FILE lists it."
        return Verdict("bad", "Not applyable", title, (said,))
    if plan.applyable and plan.changes:
        return Verdict("calm", "Ready to apply", title, ())
    first, *more = verdict(plan)
    return Verdict(
        "calm" if summary.confirm or summary.blocked else "good", "Nothing to apply", first, tuple(more)
    )


def _said(summary: Summary, kinds: Sequence[ActionKind] = _DRAWN) -> Iterator[str]:
    return (f"{number:,} {COUNTED[kind]}" for kind in kinds if (number := summary.of(kind)))


def _tiles(summary: Summary) -> list[Tile]:
    return [Tile(kind.value, kind.symbol, words.capitalize(), summary.of(kind)) for kind, words in COUNTED.items()]


def _severities(problems: Sequence[Diagnostic]) -> str:
    counts = Counter(each.severity for each in problems)
    return ", ".join(count(number, severity.value) for severity, number in counts.items())


def _segments(counts: Summary, widest: int) -> tuple[Segment, ...]:
    made, x = [], 0.0
    for kind in _DRAWN:
        if number := counts.of(kind):
            width = max(100 * number / widest, 0.4)  # one id of a million is still to be seen
            made.append(Segment(kind.value, f"{x:.2f}%", f"{width:.2f}%"))
            x += width
    return tuple(made)


def _listed(counts: Summary) -> int:
    return sum(counts.of(kind) for kind in _DRAWN)


def _bars(rows: Sequence[tuple[str, str, str, str, Summary]]) -> tuple[list[Bar], str]:
    """The longest bars of (name, note, anchor, share, counts), and a line about the others."""
    ordered = sorted(rows, key=lambda row: -_listed(row[4]))
    widest = max((_listed(row[4]) for row in ordered), default=1) or 1
    drawn = [
        Bar(name, note, anchor, _listed(counts), share, _segments(counts, widest), ", ".join(_said(counts)))
        for name, note, anchor, share, counts in ordered[:_BARS]
    ]
    left = ordered[_BARS:]
    more = f"and {len(left):,} more with {count(sum(_listed(row[4]) for row in left))}" if left else ""
    return drawn, more


def _index_bars(busy: Sequence[IndexPlan], anchors: Mapping[Target, str]) -> tuple[list[Bar], str]:
    names = Counter(each.target.index for each in busy)
    rows = []
    for each in busy:
        live = "" if each.live_count is None else f" of {count(each.live_count, 'live vector')}"
        share = f"{each.percent:.2f} %{live}" if each.percent is not None else ""
        note = each.target.account_id if names[each.target.index] > 1 else ""
        rows.append((each.target.index, note, anchors.get(each.target, ""), share, each.summary))
    return _bars(rows)


def _declaration_bars(plan: Plan) -> tuple[list[Bar], str]:
    counts: defaultdict[tuple[ActionSource, ...], Counter[str]] = defaultdict(Counter)
    for _, action in plan.actions():
        counts[action.sources][action.kind.value] += len(action.ids)
    rows = []
    for sources, kinds in counts.items():
        place, reason = _place(sources[0]) if sources else ("declared nowhere", "")
        more = f" and {count(len(sources) - 1, 'more place')}" if len(sources) > 1 else ""
        rows.append((place + more, reason, "", "", Summary(**kinds)))
    return _bars(rows)


def _place(source: ActionSource) -> tuple[str, str]:
    return f"{source.path}:{source.line}" if source.line else source.path, source.reason


def _section(plan: Plan, index: IndexPlan, anchor: str, carried: Carried, *, unfold: bool) -> IndexView:
    by_place: dict[tuple[ActionSource, ...], list[Action]] = {}
    for action in index.actions:
        by_place.setdefault(action.sources, []).append(action)
    declarations = tuple(
        DeclarationView(
            tuple(map(_place, sources)), tuple(_action(index, action, anchor, carried) for action in actions)
        )
        for sources, actions in sorted(by_place.items())
    )
    prefixes = tuple(
        (each.text, _matched(each.count), f"{each.path}:{each.line}" if each.line else each.path)
        for each in index.prefixes
    )
    said = ", ".join(_said(index.summary)) or "nothing to do"
    return IndexView(
        anchor,
        index.target.index,
        index.target.account_id,
        said,
        tuple(_index_facts(plan, index)),
        prefixes,
        declarations,
        unfold,
    )


def _matched(found: int | None) -> str:
    return "never listed" if found is None else f"{count(found)} matched"


def _action(index: IndexPlan, action: Action, anchor: str, carried: Carried) -> ActionView:
    counted = COUNTED[action.kind]
    where = f"{action.kind.symbol} {counted} \N{MIDDLE DOT} {index.target.index}"
    groups = groups_of(action.ids, anchor=anchor, where=where, carried=carried)
    return ActionView(
        action.kind.value,
        action.kind.symbol,
        len(action.ids),
        _WHAT.get(action.kind, counted),
        action.reason,
        tuple(groups),
    )


def _index_facts(plan: Plan, index: IndexPlan) -> Iterator[Fact]:
    summary = index.summary
    yield Fact("Account", index.target.account_id, code=True)
    yield Fact("Created on", index.created_on or "not seen yet", code=index.created_on is not None)
    if index.observed_created_on is not None:
        yield Fact("Created again on, as read for this plan", index.observed_created_on, code=True)
    yield Fact("Live vectors", "not read" if index.live_count is None else f"{index.live_count:,}")
    if summary.sends:
        share = "not checked" if index.percent is None else f"{index.percent:.2f} % of the live vectors"
        yield Fact("Share to delete", share)
    if limits := plan.limits.get(index.target.index):
        yield Fact("Limits", _limits(limits))
    yield Fact("Delete requests", f"{summary.requests:,}")
    if index.read_by:
        yield Fact("Read by", f"{index.read_by}, in {count(index.read_requests, 'request')}")
    if index.kept:
        yield Fact("Kept", f"{count(index.kept)} matched by a prefix and protected by a keep: not sent")
    if summary.already_absent and not summary.sends:
        said = "one batch of what was found absent is sent: what is read after it is proof for all of them"
        yield Fact("Proof", said)
    if summary.unchanged:
        yield Fact("Unchanged", f"{count(summary.unchanged)} verified absent")


def _limits(limits: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:,g}" for name, value in sorted(limits.items()))


def _row(index: IndexPlan) -> tuple[str, str, str, str]:
    """An index without a section: (name, account, what happens, unchanged)."""
    said = ", ".join(_said(index.summary)) or "nothing to do"
    return index.target.index, index.target.account_id, said, f"{index.summary.unchanged:,}"


def _cost(plan: Plan) -> list[tuple[str, str, str]]:
    """(what, requests, least time): an empty list when nothing would be asked."""
    cost = plan.cost
    if not cost.total:
        return []
    most = "" if plan.observed else "at most "
    return [
        ("Delete", f"{cost.deletes:,}", f"at least {duration(plan.least_seconds)}"),
        ("Prove by reading", f"{most}{cost.proofs:,}", ""),
        ("Wait for the service", f"about {cost.waiting:,}", ""),
        ("Together", f"{most}{cost.total:,}", f"at least {duration(cost.least_seconds)} under the budget"),
    ]


def _command(plan: Plan, paths: Sequence[str], only: str | None, planfile: str) -> str:
    """What carries out exactly this plan; "" where nothing does."""
    if not plan.applyable or (only is not None and not planfile):
        return ""
    if planfile:
        words = ["reconciler", "apply", planfile]
    else:
        words = ["reconciler", "apply", *paths, *(["--refresh"] if plan.observed else [])]
    return shlex.join([*words, "--expect", plan.fingerprint])


def _why(plan: Plan, only: str | None) -> str:
    """Why there may be no command."""
    if plan.refused:
        return "it is refused"
    if plan.unresolved_prefixes:
        return "a prefix was never listed"
    if not plan.applyable:
        return "there is nothing to do"
    return "" if only is None else "it is narrowed to one index, so it must be saved with plan --out first"


def _facts(plan: Plan, *, tool_version: str, created_at: datetime, planfile: str, digest: str) -> Iterator[Fact]:
    yield Fact("Made", f"{timestamp(created_at)} by reconciler {tool_version}")
    if planfile:
        yield Fact("Plan file, the complete list", planfile, code=True)
    if digest:
        yield Fact("SHA-256 of the plan file", digest, code=True)
    if plan.state.lineage:
        yield Fact("Lineage of the state", plan.state.lineage, code=True)
        yield Fact("Head of the state", f"{plan.state.position}:{plan.state.head}", code=True)
    else:
        yield Fact("State", "none: planned from empty")
    yield Fact("Live indexes", _observed(plan))
    if limits := plan.limits.get("*"):
        yield Fact("Limits of the whole plan", _limits(limits))
    if not plan.complete:
        yield Fact("Complete", "no: narrowed to one index, or a prefix was never listed")


def _observed(plan: Plan) -> str:
    if not plan.observed:
        return "not read: planned from the manifests and the state alone"
    asked = sum(each.read_requests for each in plan.indexes)
    return f"read, in {count(asked, 'request')}" if asked else "read"

"""A plan as a page for a reviewer: verdict and counts, what must be known, where, which ids, at what cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.clock import timestamp
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.idset import IdSet
from reconciler.model.plan import Action, ActionKind, ActionSource, IndexPlan, Plan, Summary
from reconciler.render.apply_command import apply_command
from reconciler.render.findings import findings
from reconciler.render.html.charts import declaration_bars, index_bars, listed, place_of, said
from reconciler.render.html.groups import Group, groups_of
from reconciler.render.html.ids import PAGE_IDS, Carried
from reconciler.render.html.page import Fact, Tile, Verdict, count, render
from reconciler.render.plan_rows import COUNTED, limits_in_words
from reconciler.render.plan_text import duration, verdict

#: Indexes with a section of their own, those with most ids first; the rest are rows of a table.
_SECTIONS = 200

#: Sections that stand open: more of them hide one another.
_OPEN = 3

#: Diagnostics that stand open; more, never worse than these, are folded; the rest is counted.
_PROBLEMS = 30
_FOLDED_PROBLEMS = 500

#: Sets of declarations of one index that are shown by themselves, those with most ids; the rest is one.
_DECLARATIONS = 200

#: What is said of the ids of one action, where that is more than how its kind is counted.
_WHAT = {
    ActionKind.RESEND: "to send again, an earlier outcome is unknown",
    ActionKind.REAPPEARED: "to delete again, present although deleted before",
    ActionKind.CONFIRM: "waiting for confirmation, nothing to send",
    ActionKind.ALREADY_ABSENT: "found absent already",
    ActionKind.RELEASE: "to release, no longer enforced",
}


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
    """Where ids come from, and what happens to them. `others`: it stands for so many sets of declarations."""

    places: tuple[tuple[str, str], ...]
    actions: tuple[ActionView, ...]
    others: int = 0


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


@dataclass(frozen=True, slots=True)
class RowView:
    """A row of the table of indexes without a section."""

    anchor: str
    name: str
    account: str
    said: str
    unchanged: str


def plan_page(
    plan: Plan,
    *,
    tool_version: str,
    created_at: datetime,
    paths: Sequence[str] = (),
    only: str | None = None,
    planfile: str = "",
    digest: str = "",
    expires_at: datetime | None = None,
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
        expires_at: from then on the saved plan is not begun any more, None when it does not expire.
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
        more_problems=problems[_PROBLEMS:_FOLDED_PROBLEMS],
        more_counts=_severities(problems[_PROBLEMS:]),
        left_problems=_severities(problems[_FOLDED_PROBLEMS:]),
        index_bars=index_bars(busy, anchors),
        declaration_bars=declaration_bars(plan),
        errored=plan.errored,
        sections=(
            _section(plan, each, anchors[each.target], carried, unfold=len(sections) <= _OPEN) for each in sections
        ),
        rest_count=len(plan.indexes) - len(sections),
        rest=(
            _row(number, each, carried) for number, each in enumerate(plan.indexes, 1) if each.target not in shown
        ),
        rest_of_many=len(busy) > _SECTIONS,
        cost=_cost(plan),
        command=apply_command(plan, paths=paths, only=only, planfile=planfile) if plan.applyable else None,
        why=_why(plan, only),
        facts=(
            Fact("Made", f"{timestamp(created_at)} by reconciler {tool_version}"),
            *([Fact("Expires", timestamp(expires_at))] if expires_at is not None else []),
            *_facts(plan, planfile=planfile, digest=digest),
        ),
        files=plan.files,
        fingerprint=plan.fingerprint,
        digest=digest,
        limit=limit,
        total=0 if plan.errored else sum(len(action.ids) for _, action in plan.actions()),
        carried=carried,
    )


def _weight(index: IndexPlan) -> int:
    """How much there is to see: ids that something happens to; a prefix without ids is worth a look too."""
    return listed(index.summary) or len(index.prefixes)


def _verdict(plan: Plan) -> Verdict:
    summary = plan.summary
    sending = [each for each in plan.indexes if each.summary.sends]
    where = count(len(sending), "index", "indexes")
    title = f"{count(summary.sends)} to delete in {where}"
    if not summary.sends:
        kinds = (ActionKind.ALREADY_ABSENT, ActionKind.RELEASE, ActionKind.CONFIRM, ActionKind.BLOCKED)
        rest = ", ".join(said(summary, kinds))
        title = f"Nothing to delete{f': {rest}' if rest else ''}"
    if plan.errored:
        why = "What could be read is not all that is declared, so nothing is planned and nothing can be applied."
        return Verdict("bad", "Error", "The manifests cannot be used: there is no plan", (why,))
    if plan.refused:
        why = "All of this was planned, but a limit or a keep forbids it: apply would send nothing."
        return Verdict("bad", "Refused", title, (why,))
    if plan.unresolved_prefixes:
        why = "A prefix was never listed, so nobody knows what it matches. plan --refresh --out FILE lists it."
        return Verdict("bad", "Not applyable", title, (why,))
    if plan.applyable and plan.changes:
        return Verdict("calm", "Ready to apply", title, ())
    first, *more = verdict(plan)
    if summary.confirm:
        return Verdict("calm", "Waiting", first, tuple(more))
    return Verdict("calm" if summary.blocked else "good", "Nothing to apply", first, tuple(more))


def _tiles(summary: Summary) -> list[Tile]:
    return [Tile(kind.value, kind.symbol, words.capitalize(), summary.of(kind)) for kind, words in COUNTED.items()]


def _severities(problems: Sequence[Diagnostic]) -> str:
    counts = Counter(each.severity for each in problems)
    return ", ".join(count(number, severity.value) for severity, number in counts.items())


def _section(plan: Plan, index: IndexPlan, anchor: str, carried: Carried, *, unfold: bool) -> IndexView:
    prefixes = tuple(
        (each.text, _matched(each.count), f"{each.path}:{each.line}" if each.line else each.path)
        for each in index.prefixes
    )
    return IndexView(
        anchor,
        index.target.index,
        index.target.account_id,
        ", ".join(said(index.summary)) or "nothing to do",
        tuple(_index_facts(plan, index)),
        prefixes,
        tuple(_declarations(index, anchor, carried)),
        unfold,
    )


def _declarations(index: IndexPlan, anchor: str, carried: Carried) -> Iterator[DeclarationView]:
    by_place: dict[tuple[ActionSource, ...], list[Action]] = {}
    for action in index.actions:
        by_place.setdefault(action.sources, []).append(action)
    most = sorted(by_place.values(), key=lambda actions: -sum(len(each.ids) for each in actions))
    shown, others = most[:_DECLARATIONS], most[_DECLARATIONS:]
    for actions in sorted(shown, key=lambda actions: actions[0].sources):
        places = tuple((place_of(each), each.reason) for each in actions[0].sources)
        yield DeclarationView(places, tuple(_action(index, each, anchor, carried) for each in actions))
    merged: dict[tuple[ActionKind, str], list[IdSet]] = {}
    for action in (each for actions in others for each in actions):
        merged.setdefault((action.kind, action.reason), []).append(action.ids)
    if others:
        rest = (Action(kind, reason, (), IdSet.union(ids)) for (kind, reason), ids in merged.items())
        views = tuple(
            _action(index, each, anchor, carried) for each in sorted(rest, key=lambda each: each.sort_key)
        )
        yield DeclarationView((), views, len(others))


def _matched(found: int | None) -> str:
    return "never listed" if found is None else f"{count(found)} matched"


def _action(index: IndexPlan, action: Action, anchor: str, carried: Carried) -> ActionView:
    groups = groups_of(action.ids, anchor=anchor, where=_where(index, action), carried=carried)
    return ActionView(
        action.kind.value,
        action.kind.symbol,
        len(action.ids),
        _WHAT.get(action.kind, COUNTED[action.kind]),
        action.reason,
        tuple(groups),
    )


def _where(index: IndexPlan, action: Action) -> str:
    return f"{action.kind.symbol} {COUNTED[action.kind]} \N{MIDDLE DOT} {index.target.index}"


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
        yield Fact("Limits", limits_in_words(limits))
    yield Fact("Delete requests", f"{summary.requests:,}")
    if index.read_by:
        yield Fact("Read by", f"{index.read_by}, in {count(index.read_requests, 'request')}")
    if index.kept:
        yield Fact("Kept", f"{count(index.kept)} matched by a prefix and protected by a keep: not sent")
    if summary.already_absent and not summary.sends:
        why = "one batch of what was found absent is sent: what is read after it is proof for all of them"
        yield Fact("Proof", why)
    if summary.unchanged:
        yield Fact("Unchanged", f"{count(summary.unchanged)} verified absent")


def _row(number: int, index: IndexPlan, carried: Carried) -> RowView:
    """An index without a section. Its ids are carried too, so that they are found."""
    anchor = f"row-{number}"
    for action in index.actions:
        carried.add(anchor, _where(index, action), action.ids, len(action.ids))
    words = ", ".join(said(index.summary)) or "nothing to do"
    return RowView(anchor, index.target.index, index.target.account_id, words, f"{index.summary.unchanged:,}")


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


def _why(plan: Plan, only: str | None) -> str:
    """Why there may be no command."""
    if plan.refused:
        return "it is refused"
    if plan.unresolved_prefixes:
        return "a prefix was never listed"
    if not plan.applyable:
        return "there is nothing to do"
    return "" if only is None else "it is narrowed to one index, so it must be saved with plan --out first"


def _facts(plan: Plan, *, planfile: str, digest: str) -> Iterator[Fact]:
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
        yield Fact("Limits of the whole plan", limits_in_words(limits))
    if not plan.complete:
        yield Fact("Complete", "no: narrowed to one index, or a prefix was never listed")


def _observed(plan: Plan) -> str:
    if not plan.observed:
        return "not read: planned from the manifests and the state alone"
    asked = sum(each.read_requests for each in plan.indexes)
    return f"read, in {count(asked, 'request')}" if asked else "read"

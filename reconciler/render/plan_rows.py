"""What a plan does to one index, in rows: the words and the order that text and Markdown share.

Counts first, then declaration by declaration what happens to which ids. How much is shown is a `Detail`; whatever
is left out is counted, exactly, where it would have stood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from reconciler.model.plan import Action, ActionKind, ActionSource, IndexPlan, Plan, PrefixPlan, Summary
from reconciler.render.escape import item, plain, shortened
from reconciler.render.folding import Group, fold

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

#: How each kind is named where kinds are counted.
COUNTED = {
    ActionKind.DELETE: "to delete",
    ActionKind.RESEND: "to send again",
    ActionKind.REAPPEARED: "reappeared",
    ActionKind.CONFIRM: "to confirm",
    ActionKind.ALREADY_ABSENT: "already absent",
    ActionKind.RELEASE: "to release",
    ActionKind.UNCHANGED: "unchanged",
    ActionKind.BLOCKED: "blocked",
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

#: Depths of rows, in steps of indentation.
FACT, ACTION, GROUP, ID = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of an index is shown. None is all.

    Attributes:
        ids: an action of at most so many ids lists them all; the ids of others are folded.
        groups: prefixes that the ids of an action are folded into, at most.
        alone: ids named where all of an action are in one group.
        each: ids named of each of several groups.
        last: of two or more that are named, the last is the last of the group.
        declarations: sets of declarations that share ids.
        places: of one such set.
        prefixes: declared prefixes.
        letters: of a reason, a path or a declared prefix.
    """

    ids: int | None
    groups: int
    alone: int
    each: int
    last: bool
    declarations: int | None
    places: int | None
    prefixes: int | None
    letters: int | None


EVERYTHING = Detail(None, 1, 0, 0, False, None, None, None, None)


@dataclass(slots=True)
class Row:
    """A row: neutralised, but for the start of a line (see `escape.line`). Not frozen, for speed, as `lines.Line`.

    Attributes:
        depth: FACT, ACTION, GROUP or ID.
        text: the words.
        kind: the kind of action whose symbol stands before the text.
        style: of rich.
        place: it names where something is declared.
    """

    depth: int
    text: str
    kind: ActionKind | None = None
    style: str = ""
    place: bool = False


def heading(index: IndexPlan) -> str:
    """Which index, how large it is, how it was read. Neutralised, but for the start of a line."""
    seen = live(index)
    return plain(str(index.target)) + (f": {seen}" if seen else "")


def live(index: IndexPlan) -> str:
    """How large an index is and how it was read; "" when it was not."""
    if index.live_count is None and not index.read_by:
        return ""
    size = "" if index.live_count is None else f"{index.live_count:,} vectors"
    read = f"read by {plain(index.read_by)} in {requests(index.read_requests)}" if index.read_by else ""
    return ", ".join(filter(None, (size, read)))


@lru_cache(maxsize=256)
def counts(summary: Summary) -> str:
    """What there is of each kind, but for those of which there is nothing."""
    return ", ".join(f"{count:,} {words}" for kind, words in COUNTED.items() if (count := summary.of(kind)))


def index_rows(plan: Plan, index: IndexPlan, detail: Detail) -> Iterator[Row]:
    """The rows of one index below its heading and its counts. Lazily: only the ids that are shown are touched."""
    yield from _limits(plan, index)
    yield from declarations(index, detail)
    if index.summary.already_absent and not index.summary.sends:
        barrier = "one batch of what was found absent is sent: what is read after it is proof for all of them"
        yield Row(FACT, barrier)
    if index.prefixes:
        yield from _prefixes(index.prefixes, detail)
    if index.kept:
        kept, them = ids_are(index.kept), "it" if index.kept == 1 else "them"
        yield Row(FACT, f"{kept} matched by a prefix, but a keep protects {them}: not sent")


def declarations(index: IndexPlan, detail: Detail) -> Iterator[Row]:
    """Declaration by declaration what happens to which ids; nothing else of `index_rows`. As lazily."""
    sets: dict[tuple[ActionSource, ...], list[Action]] = {}
    for action in index.actions:
        sets.setdefault(action.sources, []).append(action)
    shown = _largest(sets, detail.declarations)
    for sources in shown:
        yield from _places(sources, detail)
        for action in sets[sources]:
            yield from _action(action, detail)
    if len(shown) < len(sets):
        yield from _not_shown([sets[sources] for sources in sets.keys() - set(shown)], bool(shown))


def requests(count: int) -> str:
    """`count` requests in words."""
    return f"{count:,} request" if count == 1 else f"{count:,} requests"


def ids(count: int) -> str:
    """`count` ids in words."""
    return f"{count:,} id" if count == 1 else f"{count:,} ids"


def ids_are(count: int) -> str:
    """As `ids`, with the verb."""
    return f"{ids(count)} {'is' if count == 1 else 'are'}"


def limits_in_words(limits: Mapping[str, float]) -> str:
    """Limits of an index, with every digit."""
    return _in_words(tuple(limits.items()))


@lru_cache(maxsize=64)
def _in_words(limits: tuple[tuple[str, float], ...]) -> str:
    # `g` alone would make 2e+07 of twenty million.
    shown = ((name, f"{value:,.0f}" if value == int(value) else f"{value:,g}") for name, value in limits)
    return ", ".join(f"{plain(name)} {value}" for name, value in sorted(shown))


def _limits(plan: Plan, index: IndexPlan) -> Iterator[Row]:
    limits = plan.limits.get(index.target.index)
    if not limits or not index.summary.sends:
        return
    percent = "percent: not checked" if index.percent is None else f"{index.percent:.2f} % of the live vectors"
    yield Row(FACT, f"limits: {limits_in_words(limits)} ({percent})")


def _largest(
    sets: dict[tuple[ActionSource, ...], list[Action]], most: int | None
) -> list[tuple[ActionSource, ...]]:
    if most is None or len(sets) <= most:
        return sorted(sets)
    ranked = sorted(sets, key=lambda sources: (-sum(len(action.ids) for action in sets[sources]), sources))
    return sorted(ranked[:most])


def _not_shown(sets: Sequence[list[Action]], more: bool) -> Iterator[Row]:
    """Declarations that are only counted, and what happens to their ids."""
    number = len(sets)
    word = "declaration, or set of them that share ids" if number == 1 else "declarations, or sets that share ids"
    yield Row(
        FACT, f"{'and ' if more else ''}{number:,} {'more ' if more else ''}{word}", style="bold", place=True
    )
    totals: Counter[ActionKind] = Counter()
    for actions in sets:
        for action in actions:
            totals[action.kind] += len(action.ids)
    for kind in ActionKind:
        if totals[kind]:
            yield Row(ACTION, f"{ids(totals[kind])} {_WHAT[kind]}", kind, STYLES[kind])


def _places(sources: Sequence[ActionSource], detail: Detail) -> Iterator[Row]:
    shown = sources[: detail.places]
    if not sources:
        yield Row(FACT, "declared nowhere", style="", place=True)
    lead, style = "", "bold"
    for path, line, reason in shown:
        where = f"{lead}{shortened(path, detail.letters)}"
        where += f":{line}" if line else ""
        where += f"  {shortened(reason, detail.letters)}" if reason else ""
        yield Row(FACT, where, None, style, True)
        lead, style = "and ", ""
    if len(shown) < len(sources):
        more = len(sources) - len(shown)
        yield Row(FACT, f"and {more:,} more {'place' if more == 1 else 'places'}", place=True)


def _action(action: Action, detail: Detail) -> Iterator[Row]:
    kind, count = action.kind, len(action.ids)
    style = STYLES[kind]
    yield Row(ACTION, f"{ids(count)} {_WHAT[kind]} ({shortened(action.reason, detail.letters)})", kind, style)
    if detail.ids is None or count <= detail.ids:
        for id_ in action.ids:
            yield _id(id_, kind)
        return
    groups = fold(action.ids, groups=detail.groups, examples=max(detail.alone, detail.each))
    if len(groups) == 1:
        yield from _examples(groups[0], detail.alone, kind, last=detail.last)
        return
    for group in groups:
        yield Row(GROUP, _begins(group), kind, style)
        yield from _examples(group, detail.each, kind, last=detail.last)


def _id(id_: str, kind: ActionKind) -> Row:
    # The symbol stands before each id: an id that begins a line could be a command to a CI runner.
    return Row(ID, item(id_), kind, STYLES[kind])


def _begins(group: Group) -> str:
    begins = "begins" if group.count == 1 else "begin"
    if not group.prefix:
        return f"{group.count:,} {'other' if group.count == 1 else 'others'}"
    return f"{group.count:,} {'more ' if group.others else ''}{begins} with {item(group.prefix)}"


def _examples(group: Group, most: int, kind: ActionKind, *, last: bool) -> Iterator[Row]:
    """The first ids, how many are not named, and the last."""
    if group.count <= most:
        yield from (_id(id_, kind) for id_ in group.examples)
        return
    last = last and most > 1
    first = group.examples[: most - last]
    yield from (_id(id_, kind) for id_ in first)
    yield Row(ID, f"… and {group.count - len(first) - last:,} more", style=STYLES[kind])
    if last:
        yield _id(group.last, kind)


def _prefixes(prefixes: Sequence[PrefixPlan], detail: Detail) -> Iterator[Row]:
    shown = prefixes[: detail.prefixes]
    for prefix in shown:
        found = "never listed" if prefix.count is None else f"{ids(prefix.count)} matched"
        where = f"{shortened(prefix.path, detail.letters)}:{prefix.line}"
        yield Row(FACT, f'prefix "{shortened(prefix.text, detail.letters)}": {found} ({where})')
    if left := prefixes[len(shown) :]:
        never = sum(prefix.count is None for prefix in left)
        matched = ids(sum(prefix.count or 0 for prefix in left))
        unlisted = f", {never:,} never listed" if never else ""
        more = "more " if shown else ""
        word = "prefix" if len(left) == 1 else "prefixes"
        yield Row(FACT, f"{len(left):,} {more}{word}: {matched} matched{unlisted}")

"""How much happens where: bars of indexes and of declarations, with their numbers in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.model.plan import ActionKind, ActionSource, IndexPlan, Plan, Summary
from reconciler.model.target import Target
from reconciler.render.html.page import count
from reconciler.render.plan_rows import COUNTED

#: Bars drawn for indexes and for declarations, the longest first; the rest is one line with its count.
_BARS = 25

#: What a segment of a bar may stand for: everything but what stays as it is.
DRAWN = tuple(kind for kind in COUNTED if kind is not ActionKind.UNCHANGED)


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


def listed(counts: Summary) -> int:
    """Ids that something happens to."""
    return sum(counts.of(kind) for kind in DRAWN)


def said(summary: Summary, kinds: Sequence[ActionKind] = DRAWN) -> Iterator[str]:
    """The counts in words, but for zeros."""
    return (f"{number:,} {COUNTED[kind]}" for kind in kinds if (number := summary.of(kind)))


def place_of(source: ActionSource) -> str:
    """Where ids are declared."""
    return f"{source.path}:{source.line}" if source.line else source.path


def _segments(counts: Summary, widest: int) -> tuple[Segment, ...]:
    made, x = [], 0.0
    for kind in DRAWN:
        if number := counts.of(kind):
            width = max(100 * number / widest, 0.4)  # one id of a million is still to be seen
            made.append(Segment(kind.value, f"{x:.2f}%", f"{width:.2f}%"))
            x += width
    return tuple(made)


def _bars(rows: Sequence[tuple[str, str, str, str, Summary]]) -> tuple[list[Bar], str]:
    """The longest bars of (name, note, anchor, share, counts), and a line about the others."""
    ordered = sorted(rows, key=lambda row: -listed(row[4]))
    widest = max((listed(row[4]) for row in ordered), default=1) or 1
    drawn = [
        Bar(name, note, anchor, listed(counts), share, _segments(counts, widest), ", ".join(said(counts)))
        for name, note, anchor, share, counts in ordered[:_BARS]
    ]
    left = ordered[_BARS:]
    more = f"and {len(left):,} more with {count(sum(listed(row[4]) for row in left))}" if left else ""
    return drawn, more


def index_bars(busy: Sequence[IndexPlan], anchors: Mapping[Target, str]) -> tuple[list[Bar], str]:
    """Bars of indexes, and a line about those that have none. `anchors`: of the sections about them."""
    names = Counter(each.target.index for each in busy)
    rows = []
    for each in busy:
        live = "" if each.live_count is None else f" of {count(each.live_count, 'live vector')}"
        share = f"{each.percent:.2f} %{live}" if each.percent is not None else ""
        note = each.target.account_id if names[each.target.index] > 1 else ""
        rows.append((each.target.index, note, anchors.get(each.target, ""), share, each.summary))
    return _bars(rows)


def declaration_bars(plan: Plan) -> tuple[list[Bar], str]:
    """Bars of sets of declarations that share ids, and a line about those that have none."""
    counts: defaultdict[tuple[ActionSource, ...], Counter[str]] = defaultdict(Counter)
    for _, action in plan.actions():
        counts[action.sources][action.kind.value] += len(action.ids)
    rows = []
    for sources, kinds in counts.items():
        place, reason = (place_of(sources[0]), sources[0].reason) if sources else ("declared nowhere", "")
        more = f" and {count(len(sources) - 1, 'more place')}" if len(sources) > 1 else ""
        rows.append((place + more, reason, "", "", Summary(**kinds)))
    return _bars(rows)

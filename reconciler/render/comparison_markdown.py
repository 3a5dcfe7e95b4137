"""A comparison of two plans as Markdown, whole or cut to size with every number exact.

From the top: the counts in one line, what must be known of them, a table of indexes and actions, a folded section
for what an index has in one of the plans alone, what the plans were made from, and their fingerprints. What both
have is counted, not named. Where it does not fit, sections name fewer ids in coarser groups, then those of the
fewest ids are left out, then rows of the table are summed; what is not named is counted where it would have stood.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from reconciler.model.comparison import Comparison, IndexComparison
from reconciler.model.plan import ActionKind, IndexPlan, Summary
from reconciler.render.comparison import PARTS, WORDS, caveats, headline
from reconciler.render.escape import shortened
from reconciler.render.markdown import alert, cell, code, html_code, row, size
from reconciler.render.plan_markdown import DEFAULT_BYTES
from reconciler.render.plan_rows import EVERYTHING, Detail, counts, declarations
from reconciler.render.plan_table import name
from reconciler.render.sections import LEVELS, Section, fit, section

#: What the parts that are never left out may take, whatever the names in them.
LEAST_BYTES = 5_000

#: The parts whose ids are named.
_NAMED = ("introduced", "gone")

#: Rows up to which the table is not folded.
_OPEN = 30

#: Characters of a sentence on what the plans were made from.
_LETTERS = 300


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a comparison stands.

    Attributes:
        title: a heading above it; ours, "" for none.
        other: how the other plan is called; ours.
        commit: that the other plan was made for, "" when that is nobody's concern.
        plan_follows: the plan stands below. Where all of it is introduced, its ids are not named twice.
    """

    title: str = ""
    other: str = "the other plan"
    commit: str = ""
    plan_follows: bool = False


def document(
    found: Comparison,
    inputs: Sequence[str],
    setting: Setting | None = None,
    *,
    max_bytes: int = DEFAULT_BYTES,
    verbose: bool = False,
) -> str:
    """The Markdown of `found`, in at most `max_bytes` bytes of UTF-8.

    Args:
        found: the comparison.
        inputs: sentences on what the two plans were made from; untrusted.
        setting: where it stands.
        max_bytes: at least LEAST_BYTES.
        verbose: name every id that only one of the plans has, as far as that fits.

    Raises:
        ValueError: `max_bytes` is less than LEAST_BYTES.
    """
    if max_bytes < LEAST_BYTES:
        raise ValueError(f"a comparison does not fit in {max_bytes} bytes")
    where = setting or Setting()
    head = list(_head(found, where))
    tail = list(_tail(found, where))
    room = max_bytes - size(head) - size(tail)
    body: list[str] = []
    if not (where.plan_follows and _all_introduced(found)):
        body = list(_body(found, where, room * 3 // 4, verbose=verbose))
    differing = _inputs(inputs, room - size(body))
    return "".join(f"{each}\n" for each in (*head, *body, *differing, *tail))


def _head(found: Comparison, where: Setting) -> Iterator[str]:
    if where.title:
        yield f"### {where.title}"
        yield ""
    yield f"**{headline(found, where.other)}**"
    yield ""
    if said := list(caveats(found)):
        yield from alert("WARNING", (f"- {sentence}" for sentence in said))
        yield ""
    if where.plan_follows and (sentence := _all_of_it(found)):
        yield sentence
        yield ""


def _all_of_it(found: Comparison) -> str:
    """The commonest cases in a sentence, "" for any other."""
    if not found.indexes:
        return "Neither plan does anything."
    if _all_introduced(found):
        return "All that the plan below does is introduced here: nothing of it was pending anyway."
    if not any(_held(found, part) for part in _NAMED):
        return "Nothing is introduced: all that the plan below does was pending anyway."
    return ""


def _all_introduced(found: Comparison) -> bool:
    return not any(_held(found, part) for part in PARTS if part != "introduced")


def _held(found: Comparison, part: str) -> bool:
    return any(dict(action.parts())[part] for index in found.indexes for action in index.actions)


def _body(found: Comparison, where: Setting, room: int, *, verbose: bool) -> Iterator[str]:
    table = _table(found, where, room // 2)
    named = [(part, index) for index in found.indexes for part in _NAMED if _total(index, part)]
    left = room - size(table) - 200  # for the line that counts what has no section
    plans = {
        part: {index.target: index for index in plan.indexes}
        for part, plan in zip(_NAMED, (found.plan, found.against), strict=True)
    }

    @cache
    def narrowed(number: int) -> IndexPlan:
        part, index = named[number]
        return _narrowed(plans[part][index.target], index, part)

    def make(number: int, detail: Detail) -> Section:
        held = narrowed(number)
        summary = f"{html_code(name(held.target, alone=False))}: {counts(held.summary)}, "
        return section(summary + _words(named[number][0], where), [], declarations(held, detail), left)

    weights = [_total(index, part) for part, index in named]
    sections = fit(make, weights, left, (EVERYTHING, *LEVELS) if verbose else LEVELS)
    yield from table
    if missing := len(named) - len(sections):
        has = f"{len(sections):,} of {len(named):,} have" if sections else "None has"
        yield f"{has} a section here: {missing:,} did not fit and are only counted above."
        yield ""
    for lines in sections.values():
        yield from lines


def _narrowed(whole: IndexPlan, index: IndexComparison, part: str) -> IndexPlan:
    """What a plan does to an index, of the ids of `part` alone."""
    wanted = {action.kind: dict(action.parts())[part] for action in index.actions}
    actions = (replace(each, ids=each.ids & wanted[each.kind]) for each in whole.actions)
    summary = Summary(**{kind.value: len(ids) for kind, ids in wanted.items()})
    return replace(whole, actions=tuple(each for each in actions if each.ids), summary=summary)


def _table(found: Comparison, where: Setting, room: int) -> list[str]:
    """Indexes and actions in at most `room` bytes, or in the fewest that state the sums."""
    if not found.indexes:
        return []
    head = [row("Index", "action", *(_words(part, where) for part in PARTS)), row("---", "---", *["---:"] * 3)]
    blocks = {number: list(_rows(index)) for number, index in enumerate(found.indexes)}
    left = room - size(head) - size(_summed(found.indexes, 10**9)) - 200
    shown: set[int] = set()
    for number in sorted(blocks, key=lambda n: (*(-_total(found.indexes[n], part) for part in _NAMED), n)):
        left -= size(blocks[number])
        if left < 0:
            break
        shown.add(number)
    made = [*head, *(each for number in sorted(shown) for each in blocks[number])]
    rest = [index for number, index in enumerate(found.indexes) if number not in shown]
    made += [*(_summed(rest, len(rest)) if rest else ()), ""]
    if len(made) <= _OPEN:
        return made
    return ["<details>", f"<summary>{len(found.indexes):,} indexes</summary>", "", *made, "</details>", ""]


def _rows(index: IndexComparison) -> Iterator[str]:
    called = cell(name(index.target, alone=False))
    for action in index.actions:
        yield _row(called, action.kind, [len(ids) for _, ids in action.parts()])


def _summed(indexes: Sequence[IndexComparison], number: int) -> list[str]:
    """A row for each kind of action of `indexes`, which are `number`."""
    called = f"… {number:,} more {'index' if number == 1 else 'indexes'}"
    totals: dict[ActionKind, list[int]] = {}
    for index in indexes:
        for action in index.actions:
            before = totals.setdefault(action.kind, [0, 0, 0])
            totals[action.kind] = [n + len(ids) for n, (_, ids) in zip(before, action.parts(), strict=True)]
    return [_row(called, kind, totals[kind]) for kind in ActionKind if kind in totals]


def _row(called: str, kind: ActionKind, numbers: Sequence[int]) -> str:
    return row(called, f"`{kind.symbol}` {WORDS[kind]}", *(f"{each:,}" for each in numbers))


def _inputs(inputs: Sequence[str], room: int) -> list[str]:
    """What the plans were made from, as many sentences as fit; the others are counted."""
    if not inputs:
        return []
    number = f"{len(inputs):,} {'difference' if len(inputs) == 1 else 'differences'}"
    head = ["<details>", f"<summary>{number} in what the two plans were made from</summary>", ""]
    tail = ["", "</details>", ""]
    left = room - size(head) - size(tail) - 60  # for the line that counts
    made: list[str] = []
    for sentence in inputs:
        told = f"- {code(shortened(sentence, _LETTERS))}"
        left -= size([told])
        if left < 0:
            break
        made.append(told)
    if missing := len(inputs) - len(made):
        made.append(f"- {'… and ' if made else ''}{missing:,} {'more' if made else 'in all'}")
    return [*head, *made, *tail]


def _tail(found: Comparison, where: Setting) -> Iterator[str]:
    mine, other = (code(plan.fingerprint[:100]) for plan in (found.plan, found.against))
    commit = f"commit {code(where.commit[:100])}" if where.commit else ""
    if not where.plan_follows:
        yield f"Fingerprint: {mine}, against {other}{f' of {commit}' if commit else ''}"
    elif commit:  # whoever copies a fingerprint from here must find that of the plan alone
        yield f"Compared with the plan of {commit}."


def _total(index: IndexComparison, part: str) -> int:
    return sum(len(dict(action.parts())[part]) for action in index.actions)


def _words(part: str, where: Setting) -> str:
    return f"only in {where.other}" if part == "gone" else PARTS[part]

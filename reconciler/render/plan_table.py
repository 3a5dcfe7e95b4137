"""The indexes of a plan as a table of Markdown: a row each while they fit, the rest of them summed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.model.plan import ActionKind, IndexPlan, Plan, Summary
from reconciler.model.target import Target
from reconciler.render.escape import shortened
from reconciler.render.markdown import cell, code, row, size

#: How kinds are named at the head of a column.
_COLUMNS = {
    ActionKind.DELETE: "`-` delete",
    ActionKind.RESEND: "`?` send again",
    ActionKind.REAPPEARED: "`!` reappeared",
    ActionKind.CONFIRM: "`~` waiting",
    ActionKind.ALREADY_ABSENT: "`o` already absent",
    ActionKind.RELEASE: "`.` release",
    ActionKind.UNCHANGED: "`=` unchanged",
    ActionKind.BLOCKED: "`x` blocked",
}

#: Rows up to which a table is not folded.
_OPEN = 30

#: Characters of the name of an index or of an account: the service allows 64 bytes and 32.
_LETTERS = 64


def weight(index: IndexPlan) -> int:
    """How many ids something happens to: what comes first where not all indexes fit."""
    return sum(index.summary.of(kind) for kind in ActionKind if kind is not ActionKind.UNCHANGED)


def lines(plan: Plan, room: int) -> list[str]:
    """The table in at most `room` bytes, or in the fewest that state the sums; nothing where there is no index.

    Indexes of which nothing changes share a row. The last row is the whole plan, where it has several.
    """
    if not plan.indexes:
        return []
    changing = [index for index in plan.indexes if weight(index) or index.prefixes or index.kept]
    still = [index for index in plan.indexes if not (weight(index) or index.prefixes or index.kept)]
    kinds = [kind for kind in ActionKind if plan.summary.of(kind)] or [ActionKind.DELETE]
    account = one_account(plan)
    head = [*_account(account), row("Index", *(_COLUMNS[kind] for kind in kinds), "requests")]
    head.append(row("---", *("---:" for _ in kinds), "---:"))
    rows = {
        n: _row(cell(name(index.target, alone=account is not None)), index.summary, kinds)
        for n, index in enumerate(changing)
    }
    # What is summed takes a row or two more.
    named = _fitting(rows, changing, room - size(head) - 4 * size(_sum("", plan.indexes, kinds)) - 200)
    tail = [
        *_sum("more", [index for n, index in enumerate(changing) if n not in named], kinds, some=bool(named)),
        *_sum("unchanged", still, kinds),
    ]
    if len(plan.indexes) > 1:
        tail.append(_row("**Whole plan**", plan.summary, kinds))
    made = [*head, *(rows[n] for n in sorted(named)), *tail, ""]
    if len(named) <= _OPEN:
        return made
    return ["<details>", f"<summary>{len(plan.indexes):,} indexes</summary>", "", *made, "</details>", ""]


def one_account(plan: Plan) -> tuple[str, str] | None:
    """The origin and the account of all indexes, if they share one."""
    accounts = {(index.target.origin, index.target.account_id) for index in plan.indexes}
    return accounts.pop() if len(accounts) == 1 else None


def name(target: Target, *, alone: bool) -> str:
    """How an index is called: `alone`, or with its account. Neutralised."""
    called = shortened(target.index, _LETTERS)
    return called if alone else f"{shortened(target.account_id, _LETTERS)}/{called}"


def _account(account: tuple[str, str] | None) -> Iterator[str]:
    if account is not None:
        yield f"Account {code(shortened(account[1], _LETTERS))} at {code(shortened(account[0], _LETTERS))}"
        yield ""


def _fitting(rows: dict[int, str], indexes: Sequence[IndexPlan], room: int) -> set[int]:
    """The numbers of the rows that fit, those of the most ids first."""
    named: set[int] = set()
    for number in sorted(rows, key=lambda n: (-weight(indexes[n]), n)):
        room -= size([rows[number]])
        if room < 0:
            break
        named.add(number)
    return named


def _sum(word: str, indexes: Sequence[IndexPlan], kinds: Sequence[ActionKind], *, some: bool = True) -> list[str]:
    if not indexes:
        return []
    number = f"{len(indexes):,} {f'{word} ' if some else ''}{'index' if len(indexes) == 1 else 'indexes'}"
    return [_row(f"… {number}" if some else number, Summary.total(index.summary for index in indexes), kinds)]


def _row(name: str, summary: Summary, kinds: Sequence[ActionKind]) -> str:
    counts = (f"{count:,}" if (count := summary.of(kind)) else "" for kind in kinds)
    return row(name, *counts, f"{summary.requests:,}")

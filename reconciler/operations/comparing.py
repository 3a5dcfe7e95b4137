"""What differs between the plan that was approved and the one of now, in sentences that people understand.

What two plans were made from is compared by structure; ids are compared by set algebra, with exact counts and a
few examples. Untrusted text in the sentences is on one line and printable; renderers neutralise the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.differences import Change, capped, changes, one_line
from reconciler.model.desired import FileDigest
from reconciler.model.idset import IdSet
from reconciler.model.plan import SENDING, ActionKind, IndexPlan, Plan, PrefixPlan

#: Ids named in one sentence.
_EXAMPLES = 3

#: The kinds that an approval binds.
_BINDING = (*SENDING, ActionKind.RELEASE)

_WORDS = {
    ActionKind.DELETE: "to delete",
    ActionKind.RESEND: "to send again because an earlier outcome is unknown",
    ActionKind.REAPPEARED: "to delete again because found present",
    ActionKind.CONFIRM: "waiting for confirmation",
    ActionKind.ALREADY_ABSENT: "found absent already",
    ActionKind.RELEASE: "to release",
    ActionKind.UNCHANGED: "verified absent",
    ActionKind.BLOCKED: "blocked",
}

Limits = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Words:
    """How the two plans are called: "12 when approved, 13 now", "not in the approved plan"."""

    before: str = "when approved"
    after: str = "now"
    other: str = "the approved plan"


_APPROVED = Words()

#: For two plans of which neither was approved yet.
TWO_PLANS = Words("in the other plan", "in this one", "the other plan")

#: For the plans of a pull request's base and of its head.
BASE_AND_HEAD = Words("at the base", "here", "the plan of the base")


def differences(approved: Plan, now: Plan) -> tuple[str, ...]:
    """A sentence for each thing that differs: files, limits, indexes, prefixes, ids; at most 40, then a count.

    Where `approved` looked at the live indexes and `now` did not, nothing is said of what only a look can tell.
    """
    unseen = approved.observed and not now.observed
    lines = [
        *inputs_that_differ(approved, now),
        *(line for pair in _pairs(approved, now) for line in _ids(*pair, unseen=unseen)),
    ]
    return capped(lines)


def files_and_limits(
    before: tuple[Iterable[FileDigest], Limits], after: tuple[Iterable[FileDigest], Limits]
) -> tuple[str, ...]:
    """What differs in files and limits alone, as `differences`."""
    found = changes(_document(*before), _document(*after))
    return capped([line for change in found for line in _input(change, _APPROVED)])


def inputs_that_differ(approved: Plan, now: Plan, words: Words = _APPROVED) -> list[str]:
    """What the two were made from: files, limits, indexes and prefixes."""
    found = changes(
        {**_document(approved.files, approved.limits), "indexes": _targets(approved)},
        {**_document(now.files, now.limits), "indexes": _targets(now)},
    )
    lines = [line for change in found for line in _input(change, words)]
    for before, after in _pairs(approved, now):
        lines += _prefixes(before, after, words, unseen=approved.observed and not now.observed)
    return lines


def examples(ids: IdSet, shown: int = _EXAMPLES) -> str:
    """The first of `ids`, quoted, and how many more there are."""
    named = ", ".join(f'"{one_line(each)}"' for each in ids.first(shown))
    return named if len(ids) <= shown else f"{named} and {len(ids) - shown:,} more"


def _document(files: Iterable[FileDigest], limits: Limits) -> dict[str, Any]:
    return {
        "files": {file.path: file.sha256 for file in files},
        "limits": {name: dict(each) for name, each in limits.items()},
    }


def _targets(plan: Plan) -> dict[str, Any]:
    return {
        f"{each.target}": {
            "origin": each.target.origin,
            "created_on": each.created_on,
            "observed_created_on": each.observed_created_on,
        }
        for each in plan.indexes
    }


def _input(change: Change, words: Words) -> Iterator[str]:
    kind, name, *rest = (str(part) for part in change.path)
    shown = one_line(name)
    if kind == "files":
        yield f"{shown} was {change.kind}"
    elif kind == "limits":
        yield from _limit("the whole plan" if name == "*" else shown, rest, change, words)
    elif not rest:
        yield f"{shown} is {_only_in(change.kind == 'added', words)}"
    else:
        name_of = {"created_on": index_of, "observed_created_on": _seen}.get(rest[0], str)
        before, after = (one_line(name_of(each)) for each in (change.before, change.after))
        yield f"{shown}: {before} {words.before}, {after} {words.after}"


def _only_in(added: bool, words: Words) -> str:
    return f"not in {words.other}" if added else f"in {words.other} only"


def _limit(of: str, rest: list[str], change: Change, words: Words) -> Iterator[str]:
    if rest:
        before, after = (_number(each) for each in (change.before, change.after))
        yield f"{one_line(rest[0])} of {of}: {before} {words.before}, {after} {words.after}"
        return
    added = change.kind == "added"
    values = change.after if added else change.before
    listed = ", ".join(f"{one_line(name)} {_number(each)}" for name, each in sorted(values.items()))
    yield f"limits of {of} ({listed}) are {_only_in(added, words)}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,.12g}"


def index_of(created_on: str | None) -> str:
    """Which index a pin means."""
    return "an index not seen yet" if created_on is None else f"the index created on {created_on}"


def _seen(created_on: str | None) -> str:
    return (
        "the look found the index that the state knows"
        if created_on is None
        else f"the look found another index, created on {created_on},"
    )


def _pairs(approved: Plan, now: Plan) -> Iterator[tuple[IndexPlan | None, IndexPlan | None]]:
    before = {each.target: each for each in approved.indexes}
    after = {each.target: each for each in now.indexes}
    for target in sorted(before.keys() | after.keys()):
        yield before.get(target), after.get(target)


def _prefixes(before: IndexPlan | None, after: IndexPlan | None, words: Words, *, unseen: bool) -> Iterator[str]:
    old, new = (
        {(each.text, each.path): each for each in (index.prefixes if index else ())} for index in (before, after)
    )
    for key in sorted(old.keys() | new.keys()):
        was, is_ = old.get(key), new.get(key)
        name = f'{_where(before, after)}: prefix "{one_line(key[0])}" of {one_line(key[1])}'
        if was is None or is_ is None:
            yield f"{name} is {_only_in(was is None, words)}"
        elif (was.count, was.digest) != (is_.count, is_.digest) and not unseen:
            same = was.count == is_.count
            yield f"{name}: {_matched(was)} {words.before}, {'other ids' if same else _matched(is_)} {words.after}"


def _matched(prefix: PrefixPlan) -> str:
    return "never listed" if prefix.count is None else f"{_ids_counted(prefix.count)} matched"


def _ids(before: IndexPlan | None, after: IndexPlan | None, *, unseen: bool) -> Iterator[str]:
    where = _where(before, after)
    for kind in _BINDING:
        more = _of(after, kind) - _of(before, kind)
        gone = _of(before, kind) - _of(after, kind)
        if unseen and kind is not ActionKind.RELEASE:
            # Whether they are there, and what a prefix matches, is known to a look alone.
            more -= _of(before, *ActionKind)
            gone = _known_without_a_look(gone, before, kind)
        for other in ActionKind:
            if moved := more & _of(before, other):
                yield (
                    f"{where}: {_count(moved)} that {_were(moved)} {_WORDS[other]} when approved "
                    f"{_are(moved)} {_WORDS[kind]} now: {examples(moved)}"
                )
                more -= moved
            moved = gone & _of(after, other)
            gone -= moved
            if moved and other not in _BINDING:
                yield (
                    f"{where}: {_count(moved)} that {_were(moved)} {_WORDS[kind]} when approved "
                    f"{_are(moved)} {_WORDS[other]} now: {examples(moved)}"
                )
        if more:
            yield f"{where}: {_count(more)} more {_WORDS[kind]} than approved: {examples(more)}"
        if gone:
            yield f"{where}: {_count(gone)} fewer {_WORDS[kind]} than approved: {examples(gone)}"


def _known_without_a_look(gone: IdSet, before: IndexPlan | None, kind: ActionKind) -> IdSet:
    if kind is ActionKind.REAPPEARED or before is None:
        return IdSet()
    return gone - IdSet.union(gone.starting_with(prefix.text) for prefix in before.prefixes)


def _where(before: IndexPlan | None, after: IndexPlan | None) -> str:
    index = before or after
    return "" if index is None else one_line(str(index.target))


def _of(index: IndexPlan | None, *kinds: ActionKind) -> IdSet:
    return IdSet() if index is None else index.ids(*kinds)


def _count(ids: IdSet) -> str:
    return _ids_counted(len(ids))


def _ids_counted(count: int) -> str:
    return "1 id" if count == 1 else f"{count:,} ids"


def _were(ids: IdSet) -> str:
    return "was" if len(ids) == 1 else "were"


def _are(ids: IdSet) -> str:
    return "is" if len(ids) == 1 else "are"

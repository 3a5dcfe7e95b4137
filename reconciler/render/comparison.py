"""A plan against another: what it introduces, what was pending anyway, what it does no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from reconciler.model.comparison import ActionComparison, Comparison
from reconciler.model.idset import IdSet
from reconciler.model.plan import ActionKind
from reconciler.render.escape import json_text, line, plain
from reconciler.render.lines import Line

FORMAT_VERSION = "1.0"

#: The parts of a comparison, in the order in which they are told, with their headings.
PARTS = {"introduced": "introduced", "pending_anyway": "pending anyway", "gone": "only in the other plan"}

_STYLES = {"introduced": "red", "pending_anyway": "cyan", "gone": "dim"}

#: What happens to the ids of an action, behind their number.
WORDS = {
    ActionKind.DELETE: "to delete",
    ActionKind.RESEND: "to send again",
    ActionKind.REAPPEARED: "reappeared, to delete again",
    ActionKind.CONFIRM: "waiting for confirmation",
    ActionKind.ALREADY_ABSENT: "found absent already",
    ActionKind.RELEASE: "to release",
    ActionKind.UNCHANGED: "verified absent, unchanged",
    ActionKind.BLOCKED: "blocked",
}

#: Ids turned into JSON at once.
_IDS_A_CHUNK = 4096

_OTHER_STATE = (
    "The two plans were made at different places of the state: what is pending anyway may have changed in between."
)
_ERRORED = "Manifests of one of the plans cannot be used: what could be read of them is not all that they declare."
_UNRESOLVED = "A prefix was never listed: the ids that it matches are in no count."
_SEEN_BY_ONE = "The live indexes were read for one of the plans alone, so ids may differ for that reason only."


def comparison_lines(
    found: Comparison, inputs: Sequence[str], *, verbose: bool = False, examples: int = 3
) -> Iterator[Line]:
    """The lines of a comparison.

    Args:
        found: the comparison.
        inputs: sentences on what the two plans were made from.
        verbose: show every id.
        examples: ids shown of each group otherwise.
    """
    for index in found.indexes:
        yield Line(plain(str(index.target)), "bold")
        for part, heading in PARTS.items():
            groups = [(each.kind, ids) for each in index.actions for ids in _part(each, part) if ids]
            if groups:
                yield Line(f"  {heading}")
            for kind, ids in groups:
                yield from _group(kind, ids, _STYLES[part], None if verbose else examples)
        yield Line()
    for sentence in inputs:
        yield Line(line(sentence))
    warnings = tuple(caveats(found))
    for sentence in warnings:
        yield Line(f"warning: {sentence}", "yellow")
    if inputs or warnings:
        yield Line()
    yield Line(headline(found), "bold")
    yield Line(f"Fingerprint: {plain(found.plan.fingerprint)}")
    yield Line(f"Against:     {plain(found.against.fingerprint)}")


def headline(found: Comparison, other: str = "the other plan") -> str:
    """The counts, in one line whose shape never changes; `other` is how the other plan is called."""
    return (
        f"Introduced: {_sent(found, 'introduced')}. Pending anyway: {_sent(found, 'pending_anyway')}. "
        f"Only in {other}: {_sent(found, 'gone')}."
    )


def caveats(found: Comparison) -> Iterator[str]:
    """Sentences on why the counts may not be the whole truth."""
    if not found.same_state:
        yield _OTHER_STATE
    if found.plan.errored or found.against.errored:
        yield _ERRORED
    if found.plan.unresolved_prefixes or found.against.unresolved_prefixes:
        yield _UNRESOLVED
    if found.plan.observed != found.against.observed:
        yield _SEEN_BY_ONE


def comparison_json(found: Comparison, inputs: Sequence[str]) -> Iterator[str]:
    """The document of `show --against --format json`, in pieces; schema `comparison`."""
    plan, against = found.plan, found.against
    yield "{\n"
    yield f'  "format_version": {json_text(FORMAT_VERSION)},\n'
    yield f'  "fingerprint": {json_text(plan.fingerprint)},\n'
    yield f'  "against": {json_text(against.fingerprint)},\n'
    yield f'  "same_state": {json_text(found.same_state)},\n'
    yield f'  "summary": {json_text({part: _counts(found, part) for part in PARTS})},\n'
    yield '  "indexes": ['
    before = "\n"
    for index in found.indexes:
        target = index.target
        yield f"{before}    {{\n"
        yield f'      "account_id": {json_text(target.account_id)},\n'
        yield f'      "index": {json_text(target.index)},\n'
        yield f'      "origin": {json_text(target.origin)},\n'
        yield '      "actions": ['
        inner = "\n"
        for action in index.actions:
            yield f'{inner}        {{\n          "action": {json_text(action.kind.value)}'
            for part, ids in action.parts():
                yield f',\n          "{part}": {{"count": {len(ids)}, "ids": ['
                yield from _ids_json(ids)
                yield "]}"
            yield "\n        }"
            inner = ",\n"
        yield "\n      ]\n    }"
        before = ",\n"
    yield "],\n" if before == "\n" else "\n  ],\n"
    yield f'  "differences": {json_text(list(inputs))}\n'
    yield "}\n"


def _ids_json(ids: IdSet) -> Iterator[str]:
    before = ""
    for chunk in ids.chunks(_IDS_A_CHUNK):
        yield before + json_text(chunk)[1:-1]
        before = ", "


def _part(action: ActionComparison, part: str) -> Iterator[IdSet]:
    return (ids for name, ids in action.parts() if name == part)


def _group(kind: ActionKind, ids: IdSet, style: str, examples: int | None) -> Iterator[Line]:
    yield Line(f"    {kind.symbol} {len(ids):,} {_noun(ids)} {WORDS[kind]}", style)
    shown = 0
    for id_ in islice(ids, examples):
        # The symbol stands before each id: an id that begins a line could be a command to a CI runner.
        yield Line(f"        {kind.symbol} {plain(id_)}", style)
        shown += 1
    if shown < len(ids):
        yield Line(f"        … and {len(ids) - shown:,} more", style)


def _counts(found: Comparison, part: str) -> dict[str, int]:
    return {kind.value: found.count(part, kind) for kind in ActionKind if kind is not ActionKind.UNCHANGED}


def _sent(found: Comparison, part: str) -> str:
    return f"{found.sends(part):,} to send, {found.count(part, ActionKind.RELEASE):,} to release"


def _noun(ids: IdSet) -> str:
    return "id" if len(ids) == 1 else "ids"

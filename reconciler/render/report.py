"""`state report`: what became of declarations, as text, as Markdown for a ticket, as JSON for machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from reconciler.model.idset import IdSet
from reconciler.model.tombstones import Status
from reconciler.render.escape import json_text, line, plain
from reconciler.render.markdown import cell, code, row
from reconciler.state.proofs import Proof
from reconciler.state.report import Report
from reconciler.state.reported import OPEN, BackReport, DeclarationReport, MutationReport

FORMAT_VERSION = "1.0"

#: Ids named where only examples are.
_EXAMPLES = 5

#: Mutations or ids written at once.
_AT_ONCE = 1_000

#: Makes what a stranger wrote harmless.
_Show = Callable[[str], str]

#: What an open status means.
_MEANS = {
    Status.UNRESOLVED: "without an answer",
    Status.ACCEPTED: "accepted, not known to be processed",
    Status.PROCESSED: "processed, not found absent yet",
    Status.REAPPEARED: "present again",
}


def headline(report: Report) -> str:
    """The answer, in one sentence or two. Holds no untrusted text."""
    counted = report.counted
    if report.done:
        last = max(filter(None, (each.proven.last_at for each in counted)), default="")
        return (
            f"Done: all {_ids(report.ids())} of {_declarations(len(counted))} were found absent by a read, "
            f"the last at {last}. Ids can come back: `reconciler verify --all` looks again."
        )
    return f"Not done: {'; '.join(_obstacles(report)) or 'no id is declared'}."


def _obstacles(report: Report) -> Iterator[str]:
    counted = report.counted
    total = report.ids()
    still = [f"{n:,} {_MEANS[status]}" for status in OPEN if (n := report.ids(status))]
    if still:
        yield f"of {_ids(total)}, {', '.join(still)}"
    here = [each for each in counted if not each.closed]
    if missing := sum(each.missing for each in here if each.known):
        have = "has" if missing == 1 else "have"
        yield (
            f"{_ids(missing)} that the manifests name {have} no record here: nothing shows that they were deleted "
            "(`reconciler apply` does what is left)"
        )
    if unknown := [each for each in here if not (each.known or each.unlisted)]:
        was, names = ("was", "it names") if len(unknown) == 1 else ("were", "they name")
        yield (
            f"{_declarations(len(unknown))} {was} recorded without exactly what {names} "
            "(the next `reconciler apply` records it)"
        )
    if unproven := sum(each.unproven for each in here):
        was = "was" if unproven == 1 else "were"
        yield f"{_ids(unproven)} {was} released without being found absent"
    if unlisted := sum(len(each.unlisted) for each in counted):
        yield f"{unlisted:,} {'prefix was' if unlisted == 1 else 'prefixes were'} never listed"
    if closed := [each for each in counted if each.closed]:
        yield f"{_declarations(len(closed))} of an index that was created again since: its proofs are history"
    if not counted:
        released = sum(each.released for each in report.declarations)
        yield f"nothing of this is declared any more, {_ids(released)} released"
    elif not (total or missing or unknown or unlisted or closed):
        yield "the state names no id for it"


def report_text(report: Report, *, store: str) -> Iterator[str]:
    """The report in lines."""
    yield headline(report)
    yield f"State: {plain(store)}"
    yield f"Lineage: {plain(report.lineage)}"
    yield f"Head: {report.position}:{report.head}"
    for each in report.declarations:
        yield ""
        yield line(f"{each.newest.manifest}:{each.newest.line}  {each.newest.reason or '(no reason)'}")
        yield from (f"  {name}: {said}" for name, said in _facts(each, _plain_text))
        yield from (f"  {said}" for said in _mutations_text(each))


def report_markdown(report: Report, *, store: str) -> Iterator[str]:
    """The report in lines of Markdown. What strangers wrote stands in code spans."""
    answer, _, why = headline(report).partition(": ")
    yield f"**{answer}:** {why}"
    yield ""
    yield f"State {code(store)}, lineage {code(report.lineage)}, head {code(f'{report.position}:{report.head}')}."
    for each in report.declarations:
        reason = code(each.newest.reason) if each.newest.reason else "(no reason)"
        yield ""
        yield f"### {code(f'{each.newest.manifest}:{each.newest.line}')} {reason}"
        yield ""
        yield from (f"- {name}: {said}" for name, said in _facts(each, code))
        if each.mutations:
            yield ""
            yield row("Mutation", "Status", "Submitted", "Accepted", "Ids")
            yield row("---", "---", "---", "---", "---:")
            for sent in each.mutations:
                name = "no answer" if sent.mutation_id is None else cell(sent.mutation_id)
                yield row(name, sent.status, sent.submitted_at, sent.accepted_at or "", f"{sent.ids:,}")


def report_json(report: Report, *, store: str) -> Iterator[str]:
    """The document of `--format json`, in pieces; a declaration stands on a line of its own."""
    yield "{\n"
    yield f'  "format_version": {json_text(FORMAT_VERSION)},\n'
    yield f'  "lineage": {json_text(report.lineage)},\n'
    yield f'  "position": {report.position},\n'
    yield f'  "head": {json_text(report.head)},\n'
    yield f'  "store": {json_text(store)},\n'
    yield f'  "done": {json_text(report.done)},\n'
    yield f'  "summary": {json_text(headline(report))},\n'
    yield '  "declarations": ['
    before = "\n"
    for each in report.declarations:
        yield f"{before}    "
        yield from _pieces(each)
        before = ",\n"
    yield "]\n}\n" if before == "\n" else "\n  ]\n}\n"


def _pieces(each: DeclarationReport) -> Iterator[str]:
    """The document of one declaration, of which what may be long is never whole in memory."""
    yield json_text(_document(each))[:-1]
    yield ', "mutations": '
    yield from _array(map(_mutation, each.mutations))
    before = ', "open": {'
    for status in OPEN:
        yield f"{before}{json_text(status.value)}: "
        yield from _array(each.by_status.get(status, ()))
        before = ", "
    yield '}, "reappeared": ['
    before = ""
    for back in each.back:
        yield f'{before}{{"ids": '
        yield from _array(back.ids)
        yield f", {json_text({'seen_at': back.seen_at, 'proof': _proof(back.proof)})[1:]}"
        before = ", "
    yield "]}"


def _array(values: Iterable[Any]) -> Iterator[str]:
    left = iter(values)
    before = "["
    while some := list(islice(left, _AT_ONCE)):
        yield f"{before}{json_text(some)[1:-1]}"
        before = ", "
    yield "[]" if before == "[" else "]"


def _plain_text(text: str) -> str:
    return plain(text) or "(empty)"


def _facts(each: DeclarationReport, show: _Show) -> Iterator[tuple[str, str]]:
    """What there is to say, as (name, what)."""
    if each.closed:
        yield "History", "the index was created again since; nothing here is about the one that is there now"
    if each.earlier:
        yield "Earlier reasons", ", ".join(map(show, each.earlier))
    yield "Index", show(str(each.target))
    if each.newest.until is not None:
        yield "Until", show(each.newest.until)
    if each.prefixes:
        yield "Prefixes", ", ".join(f"{show(text)} ({_listed(count)})" for text, count in each.prefixes)
    counts = ", ".join(f"{len(ids):,} {status}" for status, ids in each.by_status.items())
    yield "Ids", f"{len(each.ids):,} named now{f': {counts}' if counts else ''}"
    if each.missing and each.known:
        yield "No record", f"{_ids(each.missing)} that it names: nothing shows that they were deleted"
    if not (each.known or each.withdrawn):
        yield "Not known", "exactly which ids it names: the next apply records it"
    if each.shared:
        yield "Recorded for other declarations", f"{len(each.shared):,} of these"
    if each.proven.ids:
        how = ", ".join(f"{count:,} by {show(said)}" for said, count in each.proven.by_how)
        proven = each.proven
        when = f"first at {proven.first_at}, each by {proven.complete_at}, last read at {proven.last_at}"
        yield "Proven absent", f"{proven.ids:,} ({how}); {when}"
    if each.never_sent:
        yield "Absent already", f"{_ids(len(each.never_sent))}, never sent: no mutation is theirs"
    for status in OPEN:
        ids = each.by_status.get(status, IdSet())
        if ids and status is not Status.REAPPEARED:
            yield "Open", f"{len(ids):,} {_MEANS[status]}: {_examples(ids, show)}"
    for back in each.back:
        yield "Reappeared", f"{_back(back, show)}: {_examples(back.ids, show)}"
    if each.released:
        unproven = f", {each.unproven:,} of them not found absent" if each.unproven else ""
        yield "Released", f"{_ids(each.released)} no longer declared{unproven}"


def _listed(count: int | None) -> str:
    return "never listed" if count is None else f"{_ids(count)} when last listed"


def _examples(ids: IdSet, show: _Show) -> str:
    more = f" and {len(ids) - _EXAMPLES:,} more" if len(ids) > _EXAMPLES else ""
    return ", ".join(map(show, islice(ids, _EXAMPLES))) + more


def _back(back: BackReport, show: _Show) -> str:
    seen = "" if back.seen_at is None else f" at {back.seen_at}"
    if back.proof is None:
        return f"{_ids(len(back.ids))} seen{seen}, never found absent before"
    by = (
        "without a mutation"
        if back.proof.mutation_id is None
        else f"after mutation {show(back.proof.mutation_id)}"
    )
    return f"{_ids(len(back.ids))} seen again{seen}, found absent at {back.proof.at} {by}"


def _mutations_text(each: DeclarationReport) -> Iterator[str]:
    for sent in each.mutations:
        accepted = "" if sent.accepted_at is None else f"  accepted {sent.accepted_at}"
        name = sent.mutation_id or "(no answer)"
        yield plain(f"mutation {name}  {sent.status}  submitted {sent.submitted_at}{accepted}  {_ids(sent.ids)}")


def _document(each: DeclarationReport) -> dict[str, Any]:
    """What is said of one declaration, but for its mutations and ids."""
    newest, proven = each.newest, each.proven
    return {
        "manifest": newest.manifest,
        "line": newest.line,
        "reason": newest.reason,
        "earlier_reasons": list(each.earlier),
        "account_id": each.target.account_id,
        "index": each.target.index,
        "closed": each.closed,
        "until": newest.until,
        "prefixes": [{"text": text, "count": count} for text, count in each.prefixes],
        "done": each.done,
        "ids": len(each.ids),
        "counts": {s.value: len(each.by_status.get(s, ())) for s in Status if s is not Status.RELEASED},
        "released": each.released,
        "listed": each.listed,
        "no_record": each.missing,
        "names_known": each.known,
        "released_unproven": each.unproven,
        "recorded_elsewhere": len(each.shared),
        "never_sent": len(each.never_sent),
        "proven": {
            "ids": proven.ids,
            "by": [{"how": how, "ids": count} for how, count in proven.by_how],
            "first_at": proven.first_at,
            "complete_at": proven.complete_at,
            "last_at": proven.last_at,
        },
    }


def _mutation(sent: MutationReport) -> dict[str, Any]:
    return {
        "mutation_id": sent.mutation_id,
        "status": sent.status,
        "submitted_at": sent.submitted_at,
        "accepted_at": sent.accepted_at,
        "ids": sent.ids,
        "batch": sent.batch,
        "run": sent.run,
    }


def _proof(proof: Proof | None) -> dict[str, Any] | None:
    if proof is None:
        return None
    return {
        "at": proof.at,
        "position": proof.position,
        "how": proof.how,
        "since": proof.since,
        "batch": proof.batch,
        "mutation_id": proof.mutation_id,
    }


def _declarations(count: int) -> str:
    return f"{count:,} {'declaration' if count == 1 else 'declarations'}"


def _ids(count: int) -> str:
    return f"{count:,} {'id' if count == 1 else 'ids'}"

"""What came of a run, in honest words: accepted is not gone, and verified is about the moment of the read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.render.escape import line, plain
from reconciler.state.proofs import Proof

#: Ids named for each index that has some back.
_EXAMPLES = 20


def outcome_lines(
    *,
    accepted: int,
    batches: int,
    requests: int,
    verified: int,
    pending: int,
    rejected: int,
    unknown: int,
    reappeared: int,
    released: int,
    already_absent: int = 0,
    recorded: int = 0,
    head: str = "",
) -> list[str]:
    """The last lines of an apply. Counts are of ids, but for batches, requests and `recorded` declarations.

    `head` is "" when unknown. What there is none of gets no line; that nothing was sent is said.
    """
    told = [f"Accepted: {_ids(accepted)} in {_number(batches, 'batch', 'batches')}, {_requests(requests)} in all."]
    if not (accepted or rejected or unknown):
        told = [f"Nothing was sent; {_requests(requests)} in all."]
        if recorded:
            told.append(f"Recorded: {_number(recorded, 'declaration', 'declarations')}, as now declared.")
    if verified:
        told.append(f"Verified absent: {_ids(verified)}, when read. Ids can come back: verify --all looks again.")
    if already_absent:
        told.append(f"Found absent before they were sent: {_ids(already_absent)}.")
    if pending:
        told.append(f"Waiting: {_ids(pending)} not verified absent yet. Accepted is not gone: run verify.")
    if released:
        told.append(f"Released: {_ids(released)}, no longer enforced.")
    if rejected:
        told.append(f"Rejected: {_ids(rejected)}. The service refused them and deleted nothing of them.")
    if unknown:
        told.append(f"Unknown: {_ids(unknown)}. They may be deleted or not: the next apply sends them again.")
    if reappeared:
        told.append(f"Present: {_ids(reappeared)} that should be gone. The next apply deletes them again.")
    if head:
        told.append(f"State head: {plain(head)}")
    return told


def verify_line(*, verified: int, pending: int, unresolved: int, reappeared: int, audited: bool = True) -> str:
    """What a verify found, on one line. Counts are of ids. `audited`: those verified before were read again."""
    told = [f"{_ids(verified)} verified absent now"]
    if not (audited or verified or pending):
        told = ["nothing was pending; verify --all reads what was verified before again"]
    if pending:
        told.append(f"{pending:,} still waiting: run verify again")
    if unresolved:
        told.append(f"{unresolved:,} without an answer: the next apply sends them again")
    if reappeared:
        told.append(f"{reappeared:,} present that should be gone: the next apply deletes them again")
    return f"Verify: {'; '.join(told)}."


def reappeared_lines(
    reappeared: Iterable[tuple[Target, IdSet]], proofs: Mapping[Target, Mapping[str, Proof]] | None = None
) -> Iterator[str]:
    """The ids that are present again, index by index, the first of each named with what is known of it."""
    for target, ids in reappeared:
        yield line(f"{target}: {_ids(len(ids))} present that should be gone:")
        shown = ids.first(_EXAMPLES)
        for each in shown:
            yield f"  ! {plain(each)}"
            if proofs is not None:
                yield f"      {_history(proofs.get(target, {}).get(each))}"
        if len(shown) < len(ids):
            yield f"  … and {len(ids) - len(shown):,} more"


def _history(proof: Proof | None) -> str:
    if proof is None:
        return "was never proven absent"
    after = f"after mutation {plain(proof.mutation_id)}" if proof.mutation_id else "without a delete"
    where = [
        f"{each.manifest}:{each.line}" + (f" ({each.reason})" if each.reason else "")
        for each in proof.declarations
    ]
    declared = f"; declared {plain(', '.join(where))}" if where else "; declared nowhere any more"
    return f"proven absent {plain(proof.at)} by {plain(proof.how)} {after}{declared}"


def _ids(count: int) -> str:
    return _number(count, "id", "ids")


def _requests(count: int) -> str:
    return _number(count, "request", "requests")


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"

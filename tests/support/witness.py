"""What the world saw, compared with what the log says: the rules that must never break, checked from outside.

The witness is the emulator's own record of the requests it performed, the truth of its indexes, the heads of the
frames that were acknowledged to a process, and when. Rule 7 needs a run that is fenced: tests/faults/test_stopped.py.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

from reconciler.emulator import Entry
from reconciler.state import events as ev
from reconciler.state.frames import Frame

BATCH, CONCURRENCY = 50, 2

#: What the manifests say: explicit ids, what their prefixes match, and what is kept, by name or by a prefix.
LISTED = {"docs": [f"doc-{n:03}" for n in range(120)], "notes": [f"note-{n:03}\n'é😀" for n in range(90)]}
MATCHED = {"docs": [f"old/{n:02}" for n in range(40)], "notes": []}
KEPT = {"docs": ["held-1", "hold/2", "old/hold/3", "old/held-4"], "notes": ["note-000"]}

#: Nobody says anything about these.
STRANGERS = [f"stays-{n}" for n in range(5)]

DECLARED = {index: [*LISTED[index], *MATCHED[index]] for index in LISTED}
LEAST = sum(ceil(len(ids) / BATCH) for ids in DECLARED.values())

#: Seconds, not two minutes, after which a pointer that names no batch of the log is not waited for: that of a run
#: which died may be the last that the service has processed.
PATIENCE = 2.0

#: The emulator's clock is that of the machine's processes; it never jumps.
EPOCH = time.time() - time.monotonic()


def clock() -> float:
    """For emulators: seconds since 1970 that can be compared with the times of acknowledgements."""
    return EPOCH + time.monotonic()


class Broken(AssertionError):
    """A rule was broken."""

    def __init__(self, rule: int, what: object) -> None:
        super().__init__(f"rule {rule}: {what}")
        self.rule = rule


def require(rule: int, holds: object, what: object) -> None:
    """Raise Broken unless `holds`."""
    if not holds:
        raise Broken(rule, what)


@dataclass(frozen=True)
class Evidence:
    """What was found at one moment.

    Attributes:
        frames: the log, read and walked anew.
        acknowledged: heads to when they were acknowledged (time.monotonic).
        record: every request of this account, as the emulator performed them.
        live: the ids in each index, in truth.
        kills: how many runs were killed so far.
    """

    frames: Sequence[Frame]
    acknowledged: Mapping[str, float]
    record: Sequence[Entry]
    live: Mapping[str, frozenset[str]]
    kills: int

    def events(self) -> Iterator[tuple[Frame, ev.Event]]:
        """Every event with its frame, in order."""
        for frame in self.frames:
            for event in frame.events:
                yield frame, event

    def when(self, frame: Frame, otherwise: float) -> float:
        """When `frame` was acknowledged."""
        return self.acknowledged.get(f"{frame.position}:{frame.hash}", otherwise)

    @cached_property
    def indexes(self) -> dict[int, str]:
        """Names by the numbers of the log."""
        return {e.target: e.index for _, e in self.events() if isinstance(e, ev.TargetSeen)}

    @cached_property
    def deletes(self) -> list[Entry]:
        """Every delete that arrived."""
        return [entry for entry in self.record if entry.operation == "delete_by_ids"]

    @cached_property
    def intents(self) -> dict[int, ev.Intent]:
        """By the numbers of their batches."""
        return {e.batch: e for _, e in self.events() if isinstance(e, ev.Intent)}

    @cached_property
    def runs(self) -> dict[int, str]:
        """The run of each batch."""
        return {e.batch: frame.run for frame, e in self.events() if isinstance(e, ev.Intent)}

    @cached_property
    def answers(self) -> dict[int, str]:
        """The mutation id of each batch that the log calls accepted."""
        return {e.batch: e.mutation_id for _, e in self.events() if isinstance(e, ev.Accepted)}


def rule_1(seen: Evidence) -> None:
    """Every frame that was acknowledged to anybody is read back. That it stands in its order the walk has checked."""
    heads = {f"{frame.position}:{frame.hash}" for frame in seen.frames}
    require(1, heads.issuperset(seen.acknowledged), f"lost: {sorted(seen.acknowledged.keys() - heads)}")


def rule_2(seen: Evidence) -> None:
    """Every delete that arrived has an intent of its own, of exactly its ids, that was acknowledged before it arrived.

    Only after a request that was not answered with a mutation id may another follow under the same intent.
    """
    allowed: dict[tuple[str, tuple[str, ...]], list[float]] = defaultdict(list)
    for frame, event in seen.events():
        if isinstance(event, ev.Intent):
            key = (seen.indexes[event.target], tuple(event.ids))
            allowed[key].append(seen.when(frame, float("inf")))
    for entry in sorted(seen.deletes, key=lambda entry: entry.at):
        free = allowed[entry.index or "", tuple(entry.ids or ())]
        require(2, free, f"{entry.index} {entry.ids}: more requests than intents")
        require(2, min(free) <= entry.at - EPOCH, f"{entry.index} {entry.ids}: sent before its intent was durable")
        if entry.status == 200 and entry.answered and "null_mutation" not in entry.faults:
            free.remove(min(free))


def rule_4(seen: Evidence) -> None:
    """No id outside the manifests was sent, no kept one, and what nobody declared is still there."""
    for entry in seen.deletes:
        wrong = set(entry.ids or ()) - set(DECLARED[entry.index or ""])
        require(4, not wrong, f"{entry.index}: {wrong} were sent")
    for index, live in seen.live.items():
        require(4, live.issuperset([*KEPT[index], *STRANGERS]), f"{index}: {live}")


def rule_5(seen: Evidence) -> None:
    """What is called verified was processed before, was read after that and before it was said, and is absent.

    What a list had shown to be absent already, so that it was not sent again, is read after another mutation of the
    same run was processed on that index. Where the pointer named none of ours, PATIENCE after the acceptance counts.
    """
    accepted = {entry.mutation_id: entry.at - EPOCH for entry in seen.deletes if entry.mutation_id}
    processed: dict[int, float] = {}
    barriers: dict[tuple[str, int], float] = {}
    for frame, event, covered in _verified(seen):
        if isinstance(event, ev.Processed):
            at = seen.when(frame, 0.0)
            barriers[frame.run, event.target] = at
            for number in numbers(event.batches):
                processed[number] = max(at, accepted.get(seen.answers.get(number, ""), float("inf")))
        if not isinstance(event, ev.Verified):
            continue
        index, said = seen.indexes[event.target], seen.when(frame, float("inf"))
        if event.how.endswith("; read, pointer not seen"):
            mine = [
                n for n, run in seen.runs.items() if run == frame.run and seen.intents[n].target == event.target
            ]
            batches = (numbers(event.batches) | set(mine)) & seen.answers.keys()
            waited = max((accepted[seen.answers[n]] for n in batches), default=float("inf")) + PATIENCE
            processed |= dict.fromkeys(numbers(event.batches) - processed.keys(), waited)
            barriers.setdefault((frame.run, event.target), waited)
        require(5, numbers(event.batches) <= processed.keys(), f"{event}: before it was processed")
        for number, ids in covered.items():
            since = processed.get(number, barriers.get((frame.run, event.target)))
            require(5, since is not None, f"{event}: before anything was processed")
            read = _read(seen.record, index, since or 0.0, said)
            require(5, read is None or ids <= read, f"{event}: nobody read {ids - (read or set())}")
            require(5, ids.isdisjoint(seen.live[index]), f"{index}: {ids & seen.live[index]} are there")


def _read(record: Iterable[Entry], index: str, since: float, until: float) -> set[str] | None:
    """The ids that reads between two moments asked for; None for all: an index here has less than a page."""
    found: set[str] = set()
    for entry in record:
        if entry.index != index or not entry.accepted or not since <= entry.at - EPOCH <= until:
            continue
        if entry.operation == "list" and "cursor" not in entry.arguments:
            return None
        if entry.operation == "get_by_ids":
            found.update(entry.ids or ())
    return found


def _verified(seen: Evidence) -> Iterator[tuple[Frame, ev.Event, dict[int, set[str]]]]:
    """Each event, and, of those that verify, the ids by the number of the last batch that named them."""
    last: dict[tuple[int, str], int] = {}
    for frame, event in seen.events():
        covered: dict[int, set[str]] = defaultdict(set)
        if isinstance(event, ev.Intent):
            last |= dict.fromkeys(((event.target, each) for each in event.ids), event.batch)
        if isinstance(event, ev.Verified):
            for number in numbers(event.batches):
                own = {each for each in seen.intents[number].ids if last[event.target, each] == number}
                covered[number] |= own - set(event.except_ids)
            for each in event.ids:
                covered[last.get((event.target, each), 0)].add(each)
        yield frame, event, covered


def rule_6(seen: Evidence) -> None:
    """An acceptance in the log is one that the service gave, for just those ids; nothing else makes it one."""
    given = {e.mutation_id: (e.index, sorted(e.ids or ())) for e in seen.deletes if e.accepted and e.mutation_id}
    accepted: set[int] = set()
    for _, event in seen.events():
        if isinstance(event, ev.Accepted):
            intent = seen.intents[event.batch]
            said = (seen.indexes[intent.target], sorted(intent.ids))
            require(6, given.get(event.mutation_id) == said, f"{event}: {given.get(event.mutation_id)}")
            accepted.add(event.batch)
        if isinstance(event, ev.Processed | ev.Verified):
            require(6, numbers(event.batches) <= accepted, f"{event}: without an answer")


def rule_9(seen: Evidence) -> None:
    """No more requests than full batches need, but for what was in flight at a kill; only the last is not full."""
    count = len(seen.deletes)
    require(9, count <= LEAST + seen.kills * 2 * CONCURRENCY, f"{count} requests after {seen.kills} kills")
    for frame, event in seen.events():
        if isinstance(event, ev.Intent):
            others = [e for f, e in seen.events() if f.run == frame.run and isinstance(e, ev.Intent)]
            last = max(e.batch for e in others if e.target == event.target)
            full = len(event.ids) == BATCH or (len(event.ids) < BATCH and event.batch == last)
            require(9, full, f"batch {event.batch} of {frame.run} has {len(event.ids)} ids")


RULES = (rule_1, rule_2, rule_4, rule_6, rule_5, rule_9)


def statuses(seen: Evidence) -> dict[str, dict[str, int]]:
    """How many ids have which status, by the log alone, for runs that only ever delete: what `state show` must say."""
    status: dict[tuple[int, str], tuple[str, int]] = {}
    for _, event, covered in _verified(seen):
        moves: list[tuple[str, Any]] = []
        if isinstance(event, ev.Intent):
            status |= dict.fromkeys(((event.target, each) for each in event.ids), ("unresolved", event.batch))
        elif isinstance(event, ev.Accepted):
            moves = [("accepted", {event.batch})]
        elif isinstance(event, ev.Processed):
            moves = [("processed", numbers(event.batches))]
        for name, batches in moves:
            status |= {key: (name, number) for key, (_, number) in status.items() if number in batches}
        if isinstance(event, ev.Verified):
            for number, ids in covered.items():
                status |= dict.fromkeys(((event.target, each) for each in ids), ("verified", number))
    counts = {name: defaultdict[str, int](int) for name in seen.indexes.values()}
    for (target, _), (name, _) in status.items():
        counts[seen.indexes[target]][name] += 1
    return {index: dict(found) for index, found in counts.items()}


def numbers(ranges: Iterable[Sequence[int]]) -> set[int]:
    """The numbers in a field `batches`."""
    return {n for first, last in ranges for n in range(first, last + 1)}

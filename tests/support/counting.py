"""How many requests a deletion takes, from plan to audit: counted at the service, beside the least it can take.

Three steps of one story: `refresh` (plan --refresh), `apply` of that plan, `verify` (verify --all, later).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from cloudflare import Cloudflare

from reconciler import planfile
from reconciler.clock import ManualClock
from reconciler.emulator import Entry, Settings, running
from reconciler.errors import ExitCode
from reconciler.operations.applying import apply
from reconciler.operations.planning import plan
from reconciler.operations.verifying import verify
from support.inprocess import ACCOUNT, Service

INDEX = "docs"
STEPS = ("refresh", "apply", "verify")

#: Seconds from the acceptance of a mutation until the service applies it: its own median.
LAG = 30.0

# The service's own maxima, written down here again: what is measured must not be compared with itself.
DELETE_IDS, GET_IDS, PAGE_IDS = 100, 20, 1000
#: Ids proven by name between two reads of `created_on`.
SLICE_IDS = 2000
#: Seconds to the first look at the pointer, how the pause grows, and the longest pause.
FIRST_POLL, POLL_GROWTH, LONGEST_POLL = 0.3, 1.5, 10.0


@dataclass(frozen=True)
class Cell:
    """So many ids are deleted from an index of so many vectors; all of them are there."""

    vectors: int
    ids: int

    @property
    def left(self) -> int:
        """Vectors in the index afterwards."""
        return self.vectors - self.ids


@dataclass(frozen=True)
class Counts:
    """Requests of one step, by what they are for.

    Attributes:
        deletes: delete_by_ids.
        proof: get_by_ids, or pages of a list, that tell of every id whether it is there.
        created_on: which index bears the name.
        size: nothing but how many vectors there are, so that the cheaper proof can be chosen.
        polls: looks at the pointer while the service works.
    """

    deletes: int = 0
    proof: int = 0
    created_on: int = 0
    size: int = 0
    polls: int = 0

    @property
    def fixed(self) -> int:
        """What rests neither on the number of ids alone nor on the time that the service takes."""
        return self.created_on + self.size

    @property
    def total(self) -> int:
        """All requests."""
        return self.deletes + self.proof + self.fixed + self.polls

    def document(self) -> dict[str, int]:
        """As JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"total": self.total}


Steps = dict[str, Counts]


@dataclass(frozen=True)
class Measured:
    """What was counted.

    Attributes:
        steps: by name.
        announced: (deletes, other reads, polls) that the plan said its apply would take.
    """

    steps: Steps
    announced: tuple[int, int, int]


# What it takes, by arithmetic.


def by_name(ids: int) -> int:
    """Requests that asking for `ids` by name takes."""
    return ceil(ids / GET_IDS)


def pages(vectors: int) -> int:
    """Requests that a complete list takes; an empty one is a page, too."""
    return max(1, ceil(vectors / PAGE_IDS))


def polls(seconds: float) -> int:
    """Looks at the pointer until it is `seconds` after the last acceptance, the one that finds it included."""
    looks, moment, pause = 1, FIRST_POLL, FIRST_POLL
    while moment < seconds:
        looks, moment, pause = looks + 1, moment + pause, min(LONGEST_POLL, pause * POLL_GROWTH)
    return looks


def least(cell: Cell) -> Steps:
    """The least that each step can take, with its fixed reads, and the polls that `LAG` allows."""
    listed = pages(cell.left) < by_name(cell.ids)
    proof = min(by_name(cell.ids), pages(cell.left))
    around = 2 if listed else 1 + ceil(cell.ids / SLICE_IDS)
    return {
        "refresh": Counts(
            proof=min(by_name(cell.ids), pages(cell.vectors)),
            created_on=2,
            size=int(pages(cell.vectors) >= by_name(cell.ids)),  # a list counts them itself
        ),
        "apply": Counts(ceil(cell.ids / DELETE_IDS), proof, 1 + around, polls=polls(LAG)),
        "verify": Counts(proof=proof, created_on=around, size=int(not listed and by_name(cell.ids) > 1)),
    }


def naive(cell: Cell) -> Steps:
    """What the official SDK takes, used as `measure_sdk` uses it."""
    reads = Counts(proof=by_name(cell.ids))
    return {
        "refresh": reads,
        "apply": Counts(ceil(cell.ids / DELETE_IDS), by_name(cell.ids), polls=polls(LAG)),
        "verify": reads,
    }


def complaints(cell: Cell, measured: Measured) -> list[str]:
    """Where more was spent than the least and the polls, or the plan announced something else; one line each."""
    found = []
    for step, lowest in least(cell).items():
        counts = measured.steps[step]
        for each in fields(Counts):
            spent, allowed = getattr(counts, each.name), getattr(lowest, each.name)
            exact = each.name in ("deletes", "proof")  # fewer than the least would be a mistake in the counting
            if spent > allowed or (exact and spent != allowed):
                found.append(f"{step} of {cell.ids:,} of {cell.vectors:,}: {spent:,} {each.name}, not {allowed:,}")
    made, (deletes, reads, looks) = measured.steps["apply"], measured.announced
    # Ids are proven whole batches at a time: an odd batch can save the plan one `created_on`.
    if (deletes, looks) != (made.deletes, made.polls) or not 0 <= reads - made.proof - made.fixed <= 1:
        found.append(f"apply of {cell.ids:,} of {cell.vectors:,}: the plan announced {measured.announced}")
    return found


# What it takes, counted at the service.


def seeded(cell: Cell) -> tuple[list[str], list[str]]:
    """The ids of an index, and those to be deleted, spread evenly over it."""
    vectors = [f"doc-{n // 10:06}#chunk-{n % 10:02}" for n in range(cell.vectors)]
    return vectors, [vectors[n * cell.vectors // cell.ids] for n in range(cell.ids)]


def counted(record: Sequence[Entry], *, polling: bool = False) -> Counts:
    """The requests of a step.

    Args:
        record: all of them, as the service kept them.
        polling: `info` is asked for the pointer; otherwise for the number of vectors.
    """
    refused = [entry for entry in record if entry.status != 200]
    assert not refused, refused
    made = Counter(entry.operation for entry in record)
    infos, names, listed = made.pop("info", 0), made.pop("get_by_ids", 0), made.pop("list", 0)
    counts = Counts(
        deletes=made.pop("delete_by_ids", 0),
        proof=names or listed,
        created_on=made.pop("index_get", 0),
        size=(listed if names else 0) + (0 if polling else infos),
        polls=infos if polling else 0,
    )
    assert not made, made
    return counts


def configure(root: Path, ids: Sequence[str] = (), *, prefix: str = "", keep: Sequence[str] = ()) -> None:
    """A folder that declares `ids` (in a file) or a prefix absent, with limits that are not in the way."""
    entry: dict[str, Any] = {"prefixes": [prefix]}
    if ids:
        (root / "ids.txt").write_text("".join(f"{each}\n" for each in ids), encoding="utf-8")
        entry = {"ids_from": [{"path": "ids.txt"}]}
    manifest = {"version": 1, "account_id": ACCOUNT, "absent": [{"index": INDEX, "reason": "r", **entry}]}
    if keep:
        manifest["keep"] = [{"index": INDEX, "reason": "r", "ids": list(keep)}]
    (root / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    config = {
        "version": 1,
        "manifests": "manifest.yaml",
        "limits": {"max_deletes": 1_000_000, "max_percent": 100},
        "api": {"requests_per_five_minutes": 1_000_000},
    }
    (root / "reconciler.yaml").write_text(yaml.safe_dump(config))


def measure(cell: Cell) -> Measured:
    """The requests of the program: a refreshed plan, saved; its apply an hour later; an audit the day after."""
    service = Service(lag=LAG)
    vectors, ids = seeded(cell)
    service.emulator.seed(ACCOUNT, INDEX, vectors)
    del vectors
    with TemporaryDirectory() as folder:
        try:
            return _measure(service, Path(folder), ids)
        finally:
            service.close()


def _measure(service: Service, root: Path, ids: list[str]) -> Measured:
    configure(root, ids)
    steps: Steps = {}
    planned = plan(service.context(root), refresh=True)
    steps["refresh"] = _taken(service)
    cost = planned.plan.cost
    moment = service.clock.now()
    planfile.write(root / "p.json", planned.plan, tool_version="0", created_at=moment, paths=planned.paths)

    service.clock.advance(timedelta(hours=1).total_seconds())
    applied = apply(service.context(root), saved=planfile.read(root / "p.json"))
    steps["apply"] = _taken(service, polling=True)
    assert (applied.exit_code, applied.verified) == (ExitCode.DONE, len(ids))
    assert applied.requests == steps["apply"].total, "the program counts its own requests"

    service.clock.advance(timedelta(days=1).total_seconds())
    audited = verify(service.context(root), audit=True)
    steps["verify"] = _taken(service)
    assert (audited.exit_code, audited.verified) == (ExitCode.DONE, len(ids))
    assert audited.requests == steps["verify"].total, "the program counts its own requests"
    return Measured(steps, (cost.deletes, cost.proofs, cost.waiting))


def _taken(service: Service, *, polling: bool = False) -> Counts:
    counts = counted(service.emulator.record(), polling=polling)
    service.emulator.clear_record()
    return counts


def measure_sdk(cell: Cell) -> Steps:
    """The requests of the official SDK on a socket, in the plainest loops that end in the same certainty of absence.

    Full deletes of 100; one wait, until the last mutation is the one processed, with the pauses of the program;
    every look at the ids by get_by_ids, 20 at once. It asks no `created_on`, so an index that was created again
    meanwhile would pass for proof; it remembers nothing, and a second writer can make it wait for ever.
    """
    clock = ManualClock()
    settings = Settings(lag=LAG, budget=None, burst=None)
    vectors, ids = seeded(cell)
    steps: Steps = {}
    with (
        running(settings, clock=lambda: clock.now().timestamp()) as server,
        Cloudflare(base_url=server.base_url, api_token="token-0123456789", max_retries=0) as client,
    ):
        emulator, indexes = server.emulator, client.vectorize.indexes
        emulator.seed(ACCOUNT, INDEX, vectors)

        def present() -> int:
            asked = (indexes.get_by_ids(INDEX, account_id=ACCOUNT, ids=each) for each in _chunks(ids, GET_IDS))
            return sum(len(answer) for answer in asked if isinstance(answer, list))

        def taken(*, polling: bool = False) -> Counts:
            counts = counted(emulator.record(), polling=polling)
            emulator.clear_record()
            return counts

        assert present() == len(ids)
        steps["refresh"] = taken()

        last = None
        for each in _chunks(ids, DELETE_IDS):
            accepted = indexes.delete_by_ids(INDEX, account_id=ACCOUNT, ids=each)
            last = accepted and accepted.mutation_id
        assert last
        pause = FIRST_POLL
        clock.advance(pause)
        while (looked := indexes.info(INDEX, account_id=ACCOUNT)) and looked.processed_up_to_mutation != last:
            clock.advance(pause)
            pause = min(LONGEST_POLL, pause * POLL_GROWTH)
        assert present() == 0
        steps["apply"] = taken(polling=True)

        assert present() == 0
        steps["verify"] = taken()
    return steps


def _chunks(ids: Sequence[str], size: int) -> Iterator[list[str]]:
    return (list(ids[start : start + size]) for start in range(0, len(ids), size))

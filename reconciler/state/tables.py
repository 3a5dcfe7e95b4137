"""What the fold keeps: tables whose changes can be taken back, and the projection made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeVar

from reconciler.clock import parse_timestamp
from reconciler.model.batches import Batches, Shape
from reconciler.model.idset import IdSet
from reconciler.model.pages import Pages
from reconciler.model.target import Target
from reconciler.model.tombstones import (
    DeclarationRecord,
    Held,
    IgnoredLimits,
    Projection,
    RunRecord,
    TargetRecord,
)
from reconciler.state.batchtable import BatchTable, Undo
from reconciler.state.frames import GENESIS, Frame
from reconciler.state.statuses import Ledger, summarize

#: Seconds of requests that are remembered: the service counts them over five minutes (vectorize-api.md).
BUDGET_WINDOW = 300.0


class Refused(Exception):
    """Why an event cannot follow what came before it."""


K = TypeVar("K")
V = TypeVar("V")


class Top(NamedTuple):
    """What there is one of."""

    lineage: str = ""
    origin: str | None = None
    open: str = ""
    guard: str = ""
    moved_to: str | None = None


#: Stands before the first frame.
_START: Final = Frame(0, "", "", "", "", (), GENESIS, b"")


class Tables:
    """The state as far as it has been folded. Not for several threads at once."""

    def __init__(self) -> None:
        self._top = Top()
        self._targets: dict[int, TargetRecord] = {}
        self._live: dict[Target, int] = {}
        self._ledgers: dict[int, Ledger] = {}
        self._declarations: dict[int, DeclarationRecord] = {}
        self._batches: dict[int, BatchTable] = {}  # by number of a batch: the table that has it
        self._runs: dict[str, RunRecord] = {}
        self._last_frames: dict[str, tuple[str, int]] = {}  # by run: time and position of its last frame
        self._unknown: dict[str, None] = {}
        self._requests: list[tuple[str, int]] = []
        self._ignored: list[IgnoredLimits] = []
        self._undo: Undo = []
        self._pages = Pages()
        self._shapes: dict[Shape, Shape] = {}
        self._dirty: set[int] = set()
        self._folded: dict[int, TargetRecord] = {}
        self._snapshot: Projection | None = None
        self._frame = _START  # the last one, or the one that is being folded
        self._next_batch = 1
        self._before = self._top, self._frame, self._next_batch
        self._stamp = 0
        self._made = 0  # requests, as the frame that is being folded counts them

    # What is asked often and costs nothing; `snapshot` has the rest.

    @property
    def lineage(self) -> str:
        """The name of the log; "" before its header."""
        return self._top.lineage

    @property
    def position(self) -> int:
        """Of the last frame; 0 when there is none."""
        return self._frame.position

    @property
    def head(self) -> str:
        """Hash of the last frame; 64 zeros when there is none."""
        return self._frame.hash

    @property
    def origin(self) -> str | None:
        """The API origin the log is pinned to."""
        return self._top.origin

    @property
    def moved_to(self) -> str | None:
        """The store the log was moved to."""
        return self._top.moved_to

    @property
    def next_batch(self) -> int:
        """The next free number for a batch."""
        return self._next_batch

    @property
    def unknown_kinds(self) -> tuple[str, ...]:
        """Kinds of events this version does not know."""
        return tuple(self._unknown)

    @property
    def open_run(self) -> RunRecord | None:
        """The run that holds the state."""
        return self._run(self._top.open) if self._top.open else None

    def _run(self, name: str) -> RunRecord:
        at, position = self._last_frames[name]
        return replace(self._runs[name], last_frame_at=at, last_frame=position)

    @property
    def open_guard(self) -> str:
        """What the open run says it locked on its machine; "" when nothing."""
        return self._top.guard

    def live(self, target: Target) -> TargetRecord | None:
        """The record of `target` that is not closed, without its batches and statuses."""
        number = self._live.get(target)
        return None if number is None else self._targets[number]

    def snapshot(self) -> Projection:
        """The whole state as a value. Computes only the targets that changed since the last one."""
        if self._snapshot is None:
            for number in self._dirty & self._targets.keys():
                ledger = self._ledgers[number]
                batches = Batches.of(ledger.batches.frozen())
                by_status, by_declaration = summarize(ledger)
                self._folded[number] = replace(
                    self._targets[number],
                    batches=batches,
                    by_status=by_status,
                    by_declaration=by_declaration,
                    releases=tuple(ledger.releases),
                )
            self._dirty.clear()
            top = self._top
            self._snapshot = Projection(
                lineage=top.lineage,
                position=self.position,
                head=self.head,
                origin=top.origin,
                targets={number: self._folded[number] for number in self._targets},
                declarations=dict(self._declarations),
                runs=tuple(map(self._run, self._runs)),
                unknown_kinds=tuple(self._unknown),
                moved_to=top.moved_to,
                next_batch=self._next_batch,
                requests=tuple(self._recent_requests()),
                limits_ignored=tuple(self._ignored),
            )
        return self._snapshot

    def _recent_requests(self) -> Iterator[tuple[str, int]]:
        if self._requests:
            since = parse_timestamp(self._frame.at) - timedelta(seconds=BUDGET_WINDOW)
            yield from (each for each in self._requests if parse_timestamp(each[0]) >= since)

    def _held(self, target: int, held: Mapping[str, Any]) -> Held:
        """What a declaration says that the log had before it."""
        ranges = tuple((first, last) for first, last in held.get("batches", ()))
        for first, last in ranges:
            self._spans(target, first, last)
        for number in held.get("declarations", ()):
            other = self._declarations.get(number)
            if other is None or other.target != target or other.names is None or other.held.declarations:
                raise Refused(f"what declaration {number} of target {target} names is not known")
        return Held(
            batches=ranges,
            except_ids=IdSet.of(held.get("except_ids", ())),
            ids=IdSet.of(held.get("ids", ())),
            declarations=tuple(held.get("declarations", ())),
        )

    def _spans(self, target: int, first: int, last: int) -> list[range]:
        """The rows of these batches in the table of `target`."""
        spans = self._ledgers[target].batches.spans(first, last)
        if spans is None:
            known = set(self._ledgers[target].batches.number)
            number = next(number for number in range(first, last + 1) if number not in known)
            raise Refused(f"batch {number} of target {target} is not known")
        return spans

    # Changes that can be taken back.

    def _remember_ignored(self, who: str, why: str, limits: Sequence[str]) -> None:
        frame = self._frame
        self._push(self._ignored, IgnoredLimits(frame.run, frame.at, who, why, tuple(limits)))

    def _put(self, mapping: dict[K, V], key: K, value: V) -> None:
        if key in mapping:
            old = mapping[key]
            self._undo.append(lambda: mapping.__setitem__(key, old))
        else:
            self._undo.append(lambda: mapping.pop(key))
        mapping[key] = value

    def _push(self, values: list[V], value: V) -> None:
        values.append(value)
        self._undo.append(values.pop)

    def _roll_back(self) -> None:
        for step in reversed(self._undo):
            step()
        self._undo.clear()
        self._top, self._frame, self._next_batch = self._before
        self._snapshot = None

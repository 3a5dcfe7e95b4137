"""A log moves to another store: the same bytes, and at every moment at most one of the two may be written.

First the source says where it goes (`moved`): from then on nobody writes to it. Then everything is copied, that
frame included, and verified. A log is live only where its last `moved` points. An interrupted move is run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from reconciler.clock import Clock
from reconciler.errors import StateDamaged, StateError, StateMissing, UsageError
from reconciler.state.events import Moved
from reconciler.state.holder import Watch, held
from reconciler.state.identity import printable
from reconciler.state.journal import Journal
from reconciler.state.placing import HeadMoved, place
from reconciler.state.stores.interface import Store


@dataclass(frozen=True, slots=True)
class Migration:
    """What a move did: `copied` frames of the log that `journal`, at its new place, holds."""

    journal: Journal
    copied: int


def migrate(source: Store, destination: Store, clock: Clock) -> Migration:
    """Move the log of `source` to `destination`, which is empty or holds a beginning of the same log.

    Raises:
        StateMissing: there is no log at the source.
        StateHeld: a run holds it.
        UsageError: source and destination are one place.
        StateError: the log was moved elsewhere before; another log is at the destination; as `Store.probe`.
        StateDamaged: the copy is not the source. Neither is written then.
    """
    journal = Journal(source, clock)
    journal.load()
    if not journal.position:
        raise StateMissing(f"there is no state at {source.url}", hint="nothing was changed")
    address = destination.address(source)
    if source.answers_to(address):
        raise UsageError(f"the state is at {address} already", hint="--to names another place")
    _say_where(journal, destination, address, clock)
    copied = _copy(journal, destination, clock)
    destination.sync()  # it may hold what an interrupted move wrote, and did not live to sync
    there = Journal(destination, clock)
    there.load()
    if there.head != journal.head:
        raise StateDamaged(
            f"the copy at {destination.url} ends at {there.head}, the state itself at {journal.head}",
            hint="neither is written any more; find out who else wrote there",
        )
    return Migration(there, copied)


def _say_where(journal: Journal, destination: Store, address: str, clock: Clock) -> None:
    """Append `moved` to the source, unless an interrupted move to the same place did so."""
    while True:
        moved = journal.fold.moved_to
        if moved is not None and destination.answers_to(moved):
            return
        journal.require_writable()
        if (holder := journal.fold.open_run) is not None:
            raise held(holder, journal.store.url, Watch(clock).left(holder))
        # Before the source is given up: there is room for it at the destination.
        destination.make_room()
        _common(journal, destination)
        try:
            journal.append("", (Moved(address),))
        except HeadMoved:
            journal.catch_up()
            continue
        return


def _copy(journal: Journal, destination: Store, clock: Clock) -> int:
    """Bring the destination up to the source; returns how many frames it lacked."""
    try:
        known = _common(journal, destination)
    except StateDamaged:
        known = 0  # a log with holes: what an interrupted `receive` leaves; it says itself whether it goes on
    last = _last(journal)
    if not known:
        destination.receive(journal.store.read(0), last, clock)
        return journal.position
    for position, line in enumerate(journal.store.read(known), known + 1):
        try:
            _place(destination, line, position, clock)
        except HeadMoved:
            raise _another(destination) from None
    return journal.position - known


def _place(destination: Store, line: bytes, position: int, clock: Clock) -> None:
    place(
        line,
        position,
        clock,
        append=lambda: destination.append(line, position),
        standing=lambda: next(destination.read(position - 1), None),
    )


def _common(journal: Journal, destination: Store) -> int:
    """How many frames the destination has; all of them must be the source's."""
    count = 0
    lines: Iterator[tuple[bytes | None, bytes | None]] = zip_longest(destination.read(0), journal.store.read(0))
    for there, here in lines:
        if there is None:
            break
        if there != here:
            raise _another(destination)
        count += 1
    return count


def _last(journal: Journal) -> bytes:
    line = next(journal.store.read(journal.position - 1), None)
    if line is None:
        raise StateDamaged(f"the last frame of {journal.store.url} is not there any more")
    return line


def _another(destination: Store) -> StateError:
    return StateError(
        f"{printable(destination.url, 2048)} holds another log",
        hint="nothing there was changed; choose a place that is empty",
    )

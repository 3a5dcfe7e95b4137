"""A last frame that does not verify is put aside, because a person says so; nothing else is ever taken back."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.clock import Clock
from reconciler.errors import StateDamaged, StateError, StateHeld
from reconciler.state.chain import Chain
from reconciler.state.events import Recovered
from reconciler.state.fold import Fold
from reconciler.state.journal import Journal
from reconciler.state.stores.interface import Store

#: What the frame that moves a log has: two marks, so that one damaged byte hides no move.
_OF_A_MOVE = (b'"kind":"moved"', b',"to":"')


@dataclass(frozen=True, slots=True)
class Damage:
    """The first frame of a log that does not verify.

    Attributes:
        position: where it stands.
        line: its bytes.
        error: what is wrong with it.
        last: nothing follows it.
    """

    position: int
    line: bytes
    error: StateDamaged
    last: bool


def find_damage(store: Store) -> Damage | None:
    """The first damage of the log, None when it is intact.

    Raises:
        StateDamaged: the store itself finds a hole.
        StateError: it cannot be read.
    """
    chain, fold = Chain(), Fold()
    lines = store.read(0)
    for line in lines:
        try:
            frame = chain.verify(line)
            fold.apply(frame)
        except StateDamaged as error:
            return Damage(chain.position + 1, line, error, last=next(lines, None) is None)
        chain.advance(frame)
    return None


def repair(store: Store, damage: Damage, clock: Clock) -> tuple[Journal, Recovered]:
    """Put the damaged last frame into a file of its own, and record that.

    Raises:
        StateDamaged: it is not the last frame, or the first: without it the rest means nothing.
        StateHeld: a process of this machine has the log open for a run.
        StateError: this store takes nothing back.
    """
    require_repairable(damage)
    guard = store.guard()
    if guard is not None and guard.acquire() is None:
        raise StateHeld(f"a run on this machine uses {store.url}", hint="let it end first; nothing was changed")
    try:
        found = store.set_aside(damage.line, damage.position)
        journal = Journal(store, clock)
        journal.load()
        try:
            journal.append("", (found,))
        except StateError as error:
            raise StateError(
                f"the frame is in {found.path}, but that could not be recorded: {error.message}", hint=error.hint
            ) from error
        return journal, found
    finally:
        if guard is not None:
            guard.release()


def require_repairable(damage: Damage) -> None:
    """Raise StateDamaged where intact frames would be lost, or a log that was moved would live again."""
    why = ""
    if not damage.last:
        why = "other frames follow it"
    elif damage.position == 1:
        why = "it is the header"
    elif any(mark in damage.line for mark in _OF_A_MOVE):
        why = "it may say where this log was moved, and what is here would live again"
    if why:
        raise StateDamaged(
            f"{damage.error.message}; it cannot be put aside: {why}",
            hint="restore the state from a copy (`state pull` makes them); without one begin a new state: "
            "planning again deletes again, which is safe, and only the evidence is gone",
        )

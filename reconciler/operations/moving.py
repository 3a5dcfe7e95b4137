"""Operations that copy, move, complete and repair a state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from reconciler import __version__
from reconciler.errors import ExitCode, StateMissing, UsageError
from reconciler.model.notices import Sink, ignore
from reconciler.operations.context import Context
from reconciler.operations.interrupts import Interrupts
from reconciler.state import moving, pushing, repairing, unsaved
from reconciler.state.chain import walk
from reconciler.state.events import Recovered
from reconciler.state.identity import whoami
from reconciler.state.journal import Journal
from reconciler.state.stores.memory import MemoryStore
from reconciler.state.stores.urls import open_store


def pull(context: Context) -> Iterator[bytes]:
    """The lines of the log, each verified before it is given out. Takes no lock.

    Raises:
        StateMissing: there is none.
        StateDamaged, StateError: it cannot be read, or does not verify: what was given out so far is intact.
    """
    with closing(context.store()) as store:
        empty = True
        for frame in walk(store.read(0)):
            empty = False
            yield frame.line
        if empty:
            raise StateMissing(f"there is no state at {store.url}", hint="Name the right one with --state.")


def migrate(context: Context, to: str) -> tuple[moving.Migration, str]:
    """Move the log to the store `to`; returns what was done, and the printable URL of its new place.

    Raises:
        UsageError: `to` is no URL of a store that lasts, or the same place.
        StateMissing, StateHeld, StateDamaged, StateError: as `state.moving.migrate`.
    """
    with (
        closing(context.store()) as source,
        closing(open_store(to, root=context.root, environment=context.environment)) as destination,
    ):
        if isinstance(destination, MemoryStore):
            raise UsageError(
                "a state in memory ends with this program: the log would be lost", hint="--to names another place."
            )
        return moving.migrate(source, destination, context.clock), destination.url


def push(
    context: Context,
    path: Path,
    *,
    lock_timeout: float = 0.0,
    notify: Sink = ignore,
    interrupts: Interrupts | None = None,
) -> pushing.Pushed:
    """Record the outcomes that a run kept in the file `path` because the log could not take them.

    Raises:
        UsageError: the file cannot be read, or is something else.
        StateMissing: there is no state.
        StateMismatch, StateDamaged, StateHeld, StateError: as `state.pushing.push`.
    """
    stop = interrupts or Interrupts()
    rows = unsaved.read(path)
    with closing(context.store()) as store:
        if not store.exists():
            raise StateMissing(f"there is no state at {store.url}", hint="Name the right one with --state.")
        return pushing.push(
            Journal(store, context.clock),
            rows,
            context.clock,
            whoami(context.environment),
            tool_version=__version__,
            lock_timeout=lock_timeout,
            on_wait=lambda holder, left: stop.waiting(notify, holder, left),
        )


def repair(
    context: Context, approve: Callable[[repairing.Damage], bool]
) -> tuple[Journal | None, Recovered | None, ExitCode]:
    """Put a damaged last frame aside, if `approve` says yes.

    Returns:
        the log afterwards and what was put aside, both None when it is intact (DONE) or `approve` said no (ERROR).

    Raises:
        StateMissing: there is no state.
        StateDamaged, StateError: it cannot be repaired.
    """
    with closing(context.store()) as store:
        if not store.exists():
            raise StateMissing(f"there is no state at {store.url}", hint="Name the right one with --state.")
        damage = repairing.find_damage(store)
        if damage is None:
            return None, None, ExitCode.DONE
        repairing.require_repairable(damage)
        if not approve(damage):
            return None, None, ExitCode.ERROR
        journal, found = repairing.repair(store, damage, context.clock)
        return journal, found, ExitCode.DONE

"""One line at one position of a store, beyond doubt, although the answer to an append is missing or strange."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.clock import Clock
from reconciler.errors import StateError, StoreUnavailable
from reconciler.state.stores.interface import AppendOutcome, Conflict, Done, Unknown

#: How often a doubtful append is looked into before the store counts as unavailable, and the pauses (seconds)
#: between: full jitter, doubling to a cap. Together at most 13.5 s, less than the 30 s for which an intent is
#: fresh.
TRIES = 6
PAUSE_BASE = 0.5
PAUSE_CAP = 6.0


class HeadMoved(Exception):
    """Another line stands at the position: somebody else was first. Refresh, and think again."""


def place(
    line: bytes,
    position: int,
    clock: Clock,
    *,
    append: Callable[[], AppendOutcome],
    standing: Callable[[], bytes | None],
) -> None:
    """Return once `line` stands at `position`, durable. The same bytes are sent again only while nothing does.

    Args:
        line: with its LF.
        position: for errors.
        clock: for the pauses between tries.
        append: one attempt.
        standing: reads the position back; None when it is free.

    Raises:
        HeadMoved: other bytes stand there; nothing was written.
        StoreUnavailable: it is not durable, or that could not be found out.
        StateError: the store has said its last word; or as `standing`.
    """
    pause = PAUSE_BASE
    doubt: StateError = StoreUnavailable("no attempt was made")
    for attempt in range(TRIES):
        if attempt:
            clock.sleep(clock.jitter(pause))
            pause = min(PAUSE_CAP, pause * 2)
        outcome = append()
        if isinstance(outcome, Done):
            return
        if isinstance(outcome, Unknown):
            doubt = outcome.error
            if not outcome.retry:
                raise doubt
        # A conflict may be with our own bytes, written by an attempt whose answer was lost on its way.
        try:
            found = standing()
        except StoreUnavailable as error:
            doubt = error
            continue
        if found == line:
            return
        if found is not None:
            raise HeadMoved
        if isinstance(outcome, Conflict):
            doubt = StoreUnavailable(f"the store refuses position {position} but shows nothing there")
    raise StoreUnavailable(
        f"the state could not be written ({TRIES} tries): {doubt.message}. "
        f"Whether frame {position} was recorded is not known",
        hint=doubt.hint or "nothing more is sent; run the same command again when the store answers",
    ) from doubt

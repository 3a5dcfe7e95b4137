"""A run that holds the state: whether another may take it over, and how to say who it is."""

from __future__ import annotations

import shlex

from reconciler.clock import Clock, parse_timestamp
from reconciler.errors import StateHeld
from reconciler.model.tombstones import RunRecord
from reconciler.state.identity import printable

#: The state of a command line without `--state`.
DEFAULT_URL = "file:reconciler.state.jsonl"

#: Seconds a takeover waits beyond the lease: an intent may be sent until it is 30 s old, a request may take 60 s.
GRACE = 30.0 + 60.0


class Watch:
    """How long the holder has been silent: by the times in the log, and by what was observed here.

    Either may be wrong to wait for: a wall clock may have been set back, and a run that died yesterday was
    never observed. So the wait is over when one of them says so. What makes a takeover safe is not the wait
    but the fence: the old run's next append conflicts, and it sends nothing without an append of the last 30 s.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: tuple[str, int] = ("", 0)
        self._since = clock.elapsed()

    def left(self, holder: RunRecord) -> float:
        """Seconds until `holder` may be taken over; 0 when it may."""
        if self._seen != (holder.run, holder.last_frame):
            self._seen, self._since = (holder.run, holder.last_frame), self._clock.elapsed()
        whole = holder.lease_seconds + GRACE
        observed = whole - (self._clock.elapsed() - self._since)
        recorded = whole - (self._clock.now() - parse_timestamp(holder.last_frame_at)).total_seconds()
        return max(0.0, min(observed, recorded))


def describe(holder: RunRecord) -> str:
    """Who, what, where, since when: one line, made of printable characters only."""
    parts = [f"run {printable(holder.run)} ({printable(holder.command) or 'unnamed command'})"]
    if holder.actor:
        parts.append(f"of {printable(holder.actor)}")
    if holder.host:
        parts.append(f"on {printable(holder.host)}, pid {holder.pid}")
    if holder.job:
        parts.append(f"job {printable(holder.job)}")
    parts += [f"since {holder.started_at}", f"last frame {holder.last_frame} at {holder.last_frame_at}"]
    return ", ".join(parts).replace(", of ", " of ", 1).replace(", on ", " on ", 1)


def unlock_command(run: str, url: str) -> str:
    """The command that takes the state from `run`. `url` is a store's printable one."""
    state = "" if url == DEFAULT_URL else f" --state {shlex.quote(printable(url, 2048))}"
    return f'reconciler state unlock {shlex.quote(printable(run))}{state} --reason "…"'


def held(holder: RunRecord, url: str, left: float) -> StateHeld:
    """The error of a second run."""
    return StateHeld(
        f"the state is held by {describe(holder)}; it can be taken over in {left:.0f} s if it stays silent",
        hint="wait for it with --lock-timeout SECONDS, or, when you know that it is dead: "
        + unlock_command(holder.run, url),
    )

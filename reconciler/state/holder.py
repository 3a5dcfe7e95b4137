"""A run that holds the state: whether another may take it over, and how to say who it is."""

from __future__ import annotations

import shlex
from pathlib import Path

from reconciler.clock import Clock, parse_timestamp
from reconciler.errors import StateHeld
from reconciler.model.limits import REQUEST_SECONDS
from reconciler.model.tombstones import RunRecord
from reconciler.state.identity import printable

#: The state of a command line without `--state`.
DEFAULT_URL = "file:reconciler.state.jsonl"

#: Seconds a run holds the state after each of its frames.
LEASE = 300.0

#: Seconds of silence after which a run renews its lease.
RENEW_AFTER = 100.0

#: Seconds for which an acknowledged intent may be sent.
FRESH = 30.0

#: Seconds a takeover waits beyond the lease: for the last intent to grow stale, and its request to end.
GRACE = FRESH + REQUEST_SECONDS

#: Seconds in which a living run is seen to renew its lease.
_SIGN_OF_LIFE = RENEW_AFTER + 30.0

#: Seconds by which the clocks of two machines do not differ: beyond, a run is over by the times in the log alone.
_WIDE_MARGIN = 3600.0


class Watch:
    """How long the holder has been silent: by the times in the log, and by what was observed here.

    Neither alone is right to wait for: a run that died yesterday was never observed, and a wall clock that is
    minutes fast would end a living run at once. So the wait is over when one of these holds:

    - the lease and the grace have passed while we watched, whatever the wall clocks say;
    - by the times in the log they have passed, and we watched for longer than a living run stays silent;
    - by the times in the log they have passed an hour ago: no clock is that wrong, and nobody need wait.

    What makes a takeover safe is not the wait but the fence: the old run's next append conflicts, and it sends
    nothing without an append of the last 30 s.
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
        silence = self._clock.elapsed() - self._since
        recorded = whole - (self._clock.now() - parse_timestamp(holder.last_frame_at)).total_seconds()
        watched = max(recorded, _SIGN_OF_LIFE - silence)
        return max(0.0, min(whole - silence, watched, recorded + _WIDE_MARGIN))


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
    return f'reconciler state unlock {shlex.quote(printable(run))}{_state_flag(url)} --reason "…"'


def push_command(path: Path, url: str) -> str:
    """The command that records the outcomes in the file `path`. `url` as above."""
    return f"reconciler state push {shlex.quote(str(path))}{_state_flag(url)}"


def _state_flag(url: str) -> str:
    return "" if url == DEFAULT_URL else f" --state {shlex.quote(printable(url, 2048))}"


def held(holder: RunRecord, url: str, left: float) -> StateHeld:
    """The error of a second run."""
    return StateHeld(
        f"the state is held by {describe(holder)}; it can be taken over in {left:.0f} s if it stays silent",
        hint="wait for it with --lock-timeout SECONDS, or, when you know that it is dead: "
        + unlock_command(holder.run, url),
    )

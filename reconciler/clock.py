"""Time, waiting, jitter and fresh names: injected everywhere, so that no test sleeps or guesses."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

T = TypeVar("T")

#: A laptop that slept through its lease must notice: on Linux CLOCK_MONOTONIC stands still meanwhile.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """What the program knows of time. Durations are seconds as floats."""

    def now(self) -> datetime:
        """Wall-clock time, aware, UTC. Only for people and for how long to wait, never for safety."""

    def elapsed(self) -> float:
        """Seconds on a clock that never jumps and goes on while the machine is suspended."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def wait(self, queue: SimpleQueue[T], timeout: float) -> T | None:
        """The queue's next item, or None after `timeout` seconds without one."""

    def jitter(self, ceiling: float) -> float:
        """A random number of seconds in [0, ceiling]: full jitter."""

    def token(self) -> str:
        """A fresh name: 32 hex characters, unguessable."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed(self) -> float:
        return time.clock_gettime(_STEADY)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))

    def wait(self, queue: SimpleQueue[T], timeout: float) -> T | None:
        try:
            return queue.get(timeout=max(0.0, timeout))
        except Empty:
            return None

    def jitter(self, ceiling: float) -> float:
        import random  # noqa: PLC0415 - what nobody tries again needs no jitter

        return random.uniform(0.0, ceiling)

    def token(self) -> str:
        return os.urandom(16).hex()


class ManualClock:
    """A clock that tests move. Waiting moves it, and returns at once.

    Args:
        start: the wall-clock time at the beginning.
        seed: of the jitter.
    """

    def __init__(self, start: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC), *, seed: int = 0) -> None:
        import random  # noqa: PLC0415 - as above

        self._now = start
        self._elapsed = 1000.0
        self._random = random.Random(seed)
        self._tokens = 0
        self.slept: list[float] = []

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds

    def set_wall(self, now: datetime) -> None:
        """Move the wall clock alone, as an NTP step does."""
        self._now = now

    def now(self) -> datetime:
        return self._now

    def elapsed(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(max(0.0, seconds))

    def wait(self, queue: SimpleQueue[T], timeout: float) -> T | None:
        try:
            return queue.get_nowait()
        except Empty:
            self.sleep(timeout)
            return None

    def jitter(self, ceiling: float) -> float:
        return self._random.uniform(0.0, ceiling)

    def token(self) -> str:
        self._tokens += 1
        return f"{self._tokens:032x}"


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`, as every file and event of this program writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """The inverse of `timestamp`.

    Raises:
        ValueError: not an RFC 3339 date and time with a zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    return moment

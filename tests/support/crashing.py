"""What a child process that is to be killed runs with: numbered steps, and SIGKILL at one of them.

Nothing of it is in the package: the seams are patched in the child. A step is a moment before or after
something that the world can see: a system call of the file store, its lock, a request to the service, an object or
a statement of the other stores. A write of the file store has one more: half of it is done.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any


class Steps:
    """Counts the steps; at number `crash_at` the process ends as with kill -9."""

    def __init__(self, crash_at: int) -> None:
        self._crash_at = crash_at
        self._lock = threading.Lock()
        self.count = 0

    def step(self, last_act: Callable[[], object] = lambda: None) -> None:
        """One step. `last_act`: what is still done if the process ends at this one."""
        with self._lock:
            self.count += 1
            if self.count == self._crash_at:
                last_act()
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)

    def around(
        self, holder: Any, name: str, *, when: Callable[..., bool] = lambda *_: True, before: bool = True
    ) -> None:
        """Make a step before, if wanted, and one after each call of `holder.name`."""
        inner = getattr(holder, name)

        def stepping(*arguments: Any, **options: Any) -> Any:
            if not when(*arguments):
                return inner(*arguments, **options)
            if before:
                self.step()
            try:
                return inner(*arguments, **options)
            finally:
                self.step()

        setattr(holder, name, stepping)

    def tear(self, holder: Any) -> None:
        """Steps before, in the middle of and after each `holder.pwrite`."""
        inner = holder.pwrite

        def tearing(calls: Any, handle: int, content: bytes, offset: int) -> Any:
            self.step()
            self.step(lambda: inner(calls, handle, content[: len(content) // 2], offset))
            try:
                return inner(calls, handle, content, offset)
            finally:
                self.step()

        holder.pwrite = tearing


def _lease(seconds: float) -> None:
    """Leases of `seconds` instead of five minutes, and everything that goes with them."""
    import reconciler.applier  # noqa: PLC0415 - in the child, once forked
    from reconciler.state import holder, run  # noqa: PLC0415 - as above

    run.LEASE = seconds  # type: ignore[misc,attr-defined]
    run.RENEW_AFTER = seconds / 3  # type: ignore[misc,attr-defined]
    reconciler.applier.FRESH = seconds / 3  # type: ignore[misc]
    holder.GRACE = seconds / 2
    holder._SIGN_OF_LIFE = seconds / 2


def _wall(change: Callable[[datetime], datetime]) -> None:
    from reconciler.clock import SystemClock  # noqa: PLC0415 - as above

    now = SystemClock.now
    SystemClock.now = lambda clock: change(now(clock))  # type: ignore[method-assign]


def _ahead(seconds: float) -> None:
    """The wall clock is `seconds` fast; slow when that is negative."""
    _wall(lambda now: now + timedelta(seconds=seconds))


def _jump(seconds: float) -> None:
    """The wall clock jumps by `seconds`, and back, from one look to the next."""
    looks = count(1)
    _wall(lambda now: now + timedelta(seconds=seconds * (next(looks) % 2)))


def _hurry(part: float) -> None:
    """Pauses before another try are this part of what they could be."""
    from reconciler.clock import SystemClock  # noqa: PLC0415 - as above

    SystemClock.jitter = lambda _, ceiling: ceiling * part  # type: ignore[method-assign]


def _patience(seconds: float) -> None:
    """After so many seconds, not two minutes, a pointer that names none of ours is not waited for."""
    from reconciler.settler import cases  # noqa: PLC0415 - as above

    cases.PROCESSING_SECONDS = seconds


#: What else may be different in a child, by name; each is given a number.
TWISTS: dict[str, Callable[[float], None]] = {
    "lease": _lease, "ahead": _ahead, "jump": _jump, "hurry": _hurry, "patience": _patience,
}  # fmt: skip


def install(crash_at: int, acknowledged: str, kind: str, twists: Mapping[str, float]) -> Steps:
    """Patch this process. `acknowledged`: a file for the heads of acknowledged frames, and when that was."""
    import httpx  # noqa: PLC0415 - in the child, once forked

    from reconciler.settler import cases  # noqa: PLC0415 - as above
    from reconciler.state.journal import Journal  # noqa: PLC0415 - as above
    from reconciler.state.stores.guard import SidecarGuard  # noqa: PLC0415 - as above
    from reconciler.state.stores.oscalls import RealCalls  # noqa: PLC0415 - as above

    for name, value in twists.items():
        TWISTS[name](value)
    steps = Steps(crash_at)
    steps.tear(RealCalls)
    for name in ("fsync", "fdatasync", "ftruncate", "link", "unlink"):
        steps.around(RealCalls, name)
    steps.around(RealCalls, "open", when=lambda _self, _path, flags, *_: bool(flags & os.O_CREAT))
    steps.around(SidecarGuard, "acquire", before=False)
    steps.around(SidecarGuard, "release")
    steps.around(httpx.HTTPTransport, "handle_request")
    if kind == "seaweed":
        import obstore  # noqa: PLC0415 - as above

        steps.around(obstore, "put")
        steps.around(obstore, "get", before=False)  # what is before one is after something else
    if kind == "postgres":
        import psycopg  # noqa: PLC0415 - as above

        # Statements of one connection follow each other: the step after one is the step before the next.
        steps.around(psycopg.Connection, "execute", before=False)
    cases.FIRST_POLL_SECONDS = 0.01  # type: ignore[attr-defined] # the emulator has no lag
    told = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    append = Journal.append

    def appending(journal: Journal, *arguments: Any) -> Any:
        frame = append(journal, *arguments)
        os.write(told, f"{frame.position}:{frame.hash} {time.monotonic()!r}\n".encode())
        return frame

    Journal.append = appending  # type: ignore[method-assign]
    return steps

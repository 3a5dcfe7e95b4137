"""What a child process that is to be killed runs with: numbered steps, and SIGKILL at one of them.

Nothing of it is in the package: the seams are patched in the child. A step is a moment before or after
something that the world can see: a system call of the file store, a request to the service, an object or a
statement of the other stores.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Steps:
    """Counts the steps; at number `crash_at` the process ends as with kill -9."""

    def __init__(self, crash_at: int) -> None:
        self._crash_at = crash_at
        self._lock = threading.Lock()
        self.count = 0

    def step(self) -> None:
        with self._lock:
            self.count += 1
            if self.count == self._crash_at:
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


def shorten_leases(lease: float) -> None:
    """Leases of `lease` seconds instead of five minutes, and everything that goes with them."""
    import reconciler.applier  # noqa: PLC0415 - in the child, once forked
    from reconciler.state import holder, run  # noqa: PLC0415 - as above

    run.LEASE = lease  # type: ignore[misc,attr-defined]
    run.RENEW_AFTER = lease / 3  # type: ignore[misc,attr-defined]
    reconciler.applier.FRESH = lease / 3  # type: ignore[misc]
    holder.GRACE = lease / 2
    holder._SIGN_OF_LIFE = lease / 2


def install(crash_at: int, acknowledged: str, kind: str) -> Steps:
    """Patch this process. Acknowledged heads go to the file `acknowledged`, a line each."""
    import httpx  # noqa: PLC0415 - in the child, once forked

    from reconciler.settler import cases  # noqa: PLC0415 - as above
    from reconciler.state.journal import Journal  # noqa: PLC0415 - as above
    from reconciler.state.stores.oscalls import RealCalls  # noqa: PLC0415 - as above

    steps = Steps(crash_at)
    for name in ("pwrite", "fsync", "ftruncate", "link", "unlink"):
        steps.around(RealCalls, name)
    steps.around(RealCalls, "open", when=lambda _self, _path, flags, *_: bool(flags & os.O_CREAT))
    steps.around(httpx.HTTPTransport, "handle_request")
    if kind == "seaweed":
        import obstore  # noqa: PLC0415 - as above

        steps.around(obstore, "put")
        steps.around(obstore, "get")
    if kind == "postgres":
        import psycopg  # noqa: PLC0415 - as above

        # Statements of one connection follow each other: the step after one is the step before the next.
        steps.around(psycopg.Connection, "execute", before=False)
    cases.FIRST_POLL_SECONDS = 0.01  # type: ignore[attr-defined] # the emulator has no lag
    told = os.open(Path(acknowledged), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    append = Journal.append

    def appending(journal: Journal, *arguments: Any) -> Any:
        frame = append(journal, *arguments)
        os.write(told, f"{frame.position}:{frame.hash}\n".encode())
        return frame

    Journal.append = appending  # type: ignore[method-assign]
    return steps

"""Signals: while nothing is recorded they end the command at once, while a run holds the state in good order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from reconciler.errors import ExitCode
from reconciler.operations.interrupts import Interrupts

_FINISHING = b"\nInterrupt received. Finishing and recording what is in flight; once more aborts at once.\n"
_ABORTED = b"\nAborted. What was in flight is recorded as intended; the next run sends it again.\n"
_SHOW_CURSOR = b"\x1b[?25h"


class Signals:
    """What a signal does.

    Attributes:
        interrupts: how the run is asked to end.
        orderly: False: nothing is recorded yet, a signal raises KeyboardInterrupt; True: the first asks for an
            end, the second ends at once. The next run converges either way.
    """

    def __init__(self) -> None:
        self.interrupts = Interrupts()
        self.orderly = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """The handler."""
        if not self.orderly:
            raise KeyboardInterrupt
        if self.interrupts.requested:
            _write(_ABORTED + (_SHOW_CURSOR if os.isatty(2) else b""))
            os._exit(ExitCode.INTERRUPTED)
        self.interrupts.request()
        _write(_FINISHING)


def _write(message: bytes) -> None:
    # Not through sys.stderr: the handler may have come in the middle of a write to it.
    with suppress(OSError):
        os.write(2, message)


@contextmanager
def signals() -> Iterator[Signals]:
    """SIGINT, SIGTERM and SIGHUP reach what this yields. Outside the main thread there are none."""
    state = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return
    caught = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # that is what nohup asks for
        caught.append(signal.SIGHUP)
    before = {number: signal.signal(number, state.handle) for number in caught}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

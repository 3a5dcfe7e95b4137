"""Asking a person. Only the word yes approves; a closed stdin is an error, never a yes."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading

from reconciler.cli.failures import say
from reconciler.errors import UsageError


def confirmed(question: str, warning: str, *, hint: str) -> bool:
    """Ask `question` on stderr, with what cannot be undone before the instruction.

    Raises:
        UsageError: there is nobody to ask; `hint` says how to do without.
    """
    say(f"\n{question}\n  {warning}Only 'yes' will be accepted to approve.\n")
    answer = answered("  Enter a value: ")
    if not answer:
        raise UsageError("approval was asked for, but stdin is closed", hint=hint)
    return answer.strip() == "yes"


def answered(question: str) -> str:
    """The line that is typed after `question`, its line end included; "" when there is nobody to ask."""
    say(question, end="")
    try:
        if (terminal := _terminal()) is not None:
            _wait_for_a_line(terminal)
        answer = sys.stdin.readline() if sys.stdin is not None else ""
    except UnicodeDecodeError:
        answer = "not even text"
    except (OSError, ValueError):  # closed
        answer = ""
    say()
    return answer


def _terminal() -> int | None:
    """The descriptor of the terminal that stdin is; None when it is none."""
    try:
        number = sys.stdin.fileno() if sys.stdin is not None else -1
    except (OSError, ValueError):
        return None
    return number if os.isatty(number) else None


def _wait_for_a_line(terminal: int) -> None:
    """Until something was typed. A signal that comes just before the wait ends it: a read would not hear of it."""
    if threading.current_thread() is not threading.main_thread():
        return
    heard, tell = os.pipe()
    os.set_blocking(tell, False)
    before = signal.set_wakeup_fd(tell)
    try:
        while terminal not in select.select([terminal, heard], [], [])[0]:
            os.read(heard, 512)  # of a signal that means nothing here
    finally:
        signal.set_wakeup_fd(before)
        os.close(heard)
        os.close(tell)
